"""How the gateway proves itself where a fixed header does not do: signatures, and tokens that expire."""
