"""Garbage collection rests while modules are loaded, and not a moment longer."""

import gc

import pytest

from meshgate.runtime.memory import loading


def test_nothing_is_collected_while_modules_are_loaded():
    with loading():
        assert not gc.isenabled()

    assert gc.isenabled()


def test_what_fails_to_load_leaves_collection_on():
    with pytest.raises(ImportError), loading():
        raise ImportError

    assert gc.isenabled()
