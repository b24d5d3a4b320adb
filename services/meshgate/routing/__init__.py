"""The coordinator: the public APIs, the pipeline, the choice of target, retries and fallbacks.

Holds no state but caches; knows no upstream and no credential of one.
"""
