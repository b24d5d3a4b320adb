"""OpenAI's older completions, without messages: spoken by callers and, passed through, by upstreams."""
