"""OpenAI's chat completions: four jobs, the pass-through where both sides speak it, and errors."""
