"""Cohere's embeddings API, its second version, which upstreams speak."""
