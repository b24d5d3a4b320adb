"""The providers that speak OpenAI's API, and what they do in ways of their own: one file each."""
