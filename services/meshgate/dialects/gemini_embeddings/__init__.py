"""Gemini's batchEmbedContents; embedContent is a batch of one.

Source: https://ai.google.dev/api/embeddings, and what the google-genai SDK sends and reads. As in
`gemini_generate`, a body names its model in a member of its own.
"""
