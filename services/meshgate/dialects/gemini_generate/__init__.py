"""Gemini's generateContent, as callers and upstreams speak it.

Source of the format: the API reference of Google's Gemini API, v1beta
(https://ai.google.dev/api/generate-content), its guides on thought signatures and thinking, and what
the google-genai SDK sends and reads. Inside the gateway a body names its model in the member `model`,
as Google's gRPC messages do, and streams are server-sent events; how the HTTP API differs from that is
known to the edge and to `passthrough` only.
"""
