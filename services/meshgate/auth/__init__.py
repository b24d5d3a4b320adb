"""auth answers who is calling and what they may use.

It does not count what they use (`quota`) and does not look into requests (`routing`).
"""
