"""OpenAI's transcriptions of speech, and its translations into English: uploads."""
