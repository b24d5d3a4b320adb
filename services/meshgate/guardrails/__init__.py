"""The guardrails service: may this text pass, and with what masked?

It knows texts and policies, not requests: where the texts stand in a request, and how an answer is
put together again, is routing's to say. It keeps nothing, and never repeats what it has found.
"""
