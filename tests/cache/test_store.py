"""What every store of answers does."""

import pytest
from cache.worlds import World, place
from hypothesis import given
from hypothesis import strategies as st

from meshgate.cache.entries import Kept, Place
from meshgate.cache.redis_store import _generation_key, _key


async def test_what_is_kept_is_found(world: World):
    await world.keep(place(1), b"one")

    assert await world.find(place(1)) == b"one"


async def test_what_was_never_kept_is_not_found(world: World):
    assert await world.find(place(1)) is None


async def test_several_are_found_in_the_order_in_which_they_are_looked_for(world: World):
    await world.store.keep([Kept(place(n), b"%d" % n, 60) for n in (1, 2, 3)])

    found = await world.store.find([place(3), place(9), place(1), place(3)])

    assert found == [b"3", None, b"1", b"3"]


async def test_the_last_that_was_kept_at_a_place_is_found(world: World):
    await world.keep(place(1), b"old")
    await world.keep(place(1), b"new")

    assert await world.find(place(1)) == b"new"


async def test_of_two_in_one_batch_the_later_one_is_found(world: World):
    await world.store.keep([Kept(place(1), b"old", 60), Kept(place(1), b"new", 60)])

    assert await world.find(place(1)) == b"new"


@pytest.mark.parametrize("entry", [b"", bytes(range(256)), b"x" * 1_000_000])
async def test_any_bytes_come_back_as_they_are(world: World, entry: bytes):
    await world.keep(place(1), entry)

    assert await world.find(place(1)) == entry


async def test_what_has_expired_is_not_found(world: World):
    await world.keep(place(1), b"one")

    world.let_expire(place(1))

    assert await world.find(place(1)) is None


async def test_nothing_is_found_in_another_partition(world: World):
    await world.keep(place(1, "acme"), b"one")

    assert await world.find(place(1, "globex")) is None


async def test_what_is_forgotten_is_not_found(world: World):
    await world.keep(place(1), b"one")

    await world.store.forget("acme")

    assert await world.find(place(1)) is None


async def test_what_is_kept_after_forgetting_is_found(world: World):
    await world.keep(place(1), b"old")
    await world.store.forget("acme")

    await world.keep(place(1), b"new")

    assert await world.find(place(1)) == b"new"


async def test_forgetting_a_partition_leaves_the_others(world: World):
    await world.keep(place(1, "acme"), b"one")
    await world.keep(place(1, "acme2"), b"two")

    await world.store.forget("acme")

    assert await world.find(place(1, "acme2")) == b"two"


async def test_a_partition_that_is_empty_can_be_forgotten(world: World):
    await world.store.forget("nobody")

    assert await world.find(place(1, "nobody")) is None


names = st.text(min_size=1, max_size=8) | st.text("e:g1 ", min_size=1, max_size=8)
places = st.builds(Place, names, st.binary(min_size=16, max_size=18))


@given(places, places)
def test_no_two_places_share_a_key(one: Place, other: Place):
    assert (_key(one) == _key(other)) == (one == other)


@given(places, names)
def test_no_answer_lies_where_a_generation_does(one: Place, partition: str):
    assert _key(one) != _generation_key(partition)
