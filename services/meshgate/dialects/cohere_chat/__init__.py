"""Cohere's chat API, its second version, which upstreams speak."""
