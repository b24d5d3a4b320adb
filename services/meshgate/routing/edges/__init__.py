"""The public APIs, one module each: bytes in, bytes out, nothing else."""
