"""What OpenAI's APIs have in common that answer with `choices`: chat completions and completions."""
