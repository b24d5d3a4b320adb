"""Runs requests at upstreams, one attempt at a time, and is the only holder of their credentials.

It does not choose targets, retry or fall back: that is the caller's.
"""
