"""OpenAI's speech: the answer is sound, or events that hold sound."""
