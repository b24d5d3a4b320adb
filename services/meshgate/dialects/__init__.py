"""The wire formats of LLM APIs: pure functions over bytes, with a neutral form between them."""
