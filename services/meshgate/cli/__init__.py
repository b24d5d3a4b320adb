"""The command line: everything that a person or a script starts."""
