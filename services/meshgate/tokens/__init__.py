"""How many tokens a text is: counted with OpenAI's encodings, or estimated from its length."""
