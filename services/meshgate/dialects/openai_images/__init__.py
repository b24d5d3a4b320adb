"""OpenAI's pictures: generations, and edits, which are uploads."""
