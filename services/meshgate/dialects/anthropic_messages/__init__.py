"""Anthropic's messages: all jobs of a dialect, for callers and upstreams."""
