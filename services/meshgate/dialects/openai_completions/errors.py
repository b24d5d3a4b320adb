"""Errors are the same in all of OpenAI's APIs."""

from meshgate.dialects.openai_api.errors import read_error, write_error, write_error_event

__all__ = ["read_error", "write_error", "write_error_event"]
