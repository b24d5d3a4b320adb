"""Garbage collection, at the times when it would find nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """For loading modules in: they stay, and looking for garbage among them takes a fifth of the time.

    What was loaded is left out of later collections too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settle() -> None:
    """Leave what was made at the start out of garbage collection, and collect more rarely.

    Requests free what they make by themselves; looking for cycles after every 700 objects took
    a tenth of all CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
