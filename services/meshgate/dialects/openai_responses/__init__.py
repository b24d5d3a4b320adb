"""OpenAI's responses: all jobs of a dialect that callers and upstreams speak.

The format is that of https://developers.openai.com/api/reference/resources/responses and of the types
in openai-python (`types/responses`).
"""
