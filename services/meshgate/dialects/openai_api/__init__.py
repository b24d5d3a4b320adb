"""What OpenAI's chat and embeddings APIs have in common: bodies, model names, usage, errors."""
