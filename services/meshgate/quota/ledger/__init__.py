"""The ledger: what was used, for good, in a chain in which tampering shows."""
