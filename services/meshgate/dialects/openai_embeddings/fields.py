"""The members of an embeddings request that the neutral form expresses; others pass as extra."""

EXPRESSED = frozenset({"model", "input", "encoding_format", "dimensions"})
