"""Cohere's rerank, as Jina, Voyage and vLLM have it too.

They differ in words that pass through: how many documents are wanted is `top_n`, and `top_k` with
Voyage; what comes back is `results`, and `data` with Voyage.
"""
