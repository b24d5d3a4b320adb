"""`meshgate.yaml`: its schema, and the snapshots that services decide by.

`schema` says what may be written, `loading` reads files into a `snapshot`, `source` tells when they
change, `secrets` finds the values that the files only refer to.
"""
