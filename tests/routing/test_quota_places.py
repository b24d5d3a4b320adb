"""Places for requests at the same time: never more taken than there are, and none forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from meshgate.routing.peers.quota.places import PlaceGrant, Places


def lent(*sizes: int) -> Places:
    places = Places()
    for number, size in enumerate(sizes):
        places.add(PlaceGrant(f"p{number}", size, 0.0))
    return places


def take(places: Places, times: int) -> int:
    return sum(places.take() for _ in range(times))


class TestTaking:
    def test_none_are_there_at_first(self) -> None:
        assert not Places().take()

    def test_as_many_are_given_as_were_lent(self) -> None:
        assert take(lent(2, 3), 10) == 5

    def test_one_that_was_left_is_given_again(self) -> None:
        places = lent(1)
        places.take()
        places.leave()

        assert places.take()

    def test_those_that_were_lost_are_not_given(self) -> None:
        places = lent(2, 3)
        places.lose(next(iter(places)))

        assert take(places, 10) == 3

    def test_who_sits_on_a_lost_place_stays_and_nobody_takes_it_after(self) -> None:
        places = lent(2)
        take(places, 2)
        places.lose(next(iter(places)))

        places.leave()

        assert places.taken == 1
        assert not places.take()

    def test_what_is_lost_twice_is_lost_once(self) -> None:
        places = lent(2, 3)
        grant = next(iter(places))
        places.lose(grant)
        places.lose(grant)

        assert take(places, 10) == 3


class TestSparing:
    def test_what_was_never_needed_is_given_up(self) -> None:
        places = lent(5)

        (smaller,) = places.spare()

        assert smaller.size == 0
        assert not places.take()

    def test_what_was_needed_since_the_last_time_is_kept(self) -> None:
        places = lent(5)
        take(places, 3)
        for _ in range(3):
            places.leave()

        (smaller,) = places.spare()

        assert smaller.size == 3
        assert take(places, 10) == 3

    def test_and_given_up_the_time_after(self) -> None:
        places = lent(5)
        take(places, 3)
        places.leave()
        places.spare()

        places.spare()

        assert places.taken == 2
        assert take(places, 10) == 0

    def test_the_newest_go_first(self) -> None:
        places = lent(2, 3)
        take(places, 2)

        (smaller,) = places.spare()

        assert smaller.grant_id == "p1"
        assert len(places) == 1

    def test_where_all_are_needed_none_is_given_up(self) -> None:
        places = lent(2, 3)
        take(places, 5)

        assert places.spare() == []


@given(st.lists(st.sampled_from(["take", "leave", "add", "lose", "spare"]), max_size=60))
def test_places_are_never_taken_twice(steps: list[str]) -> None:
    """What quota thinks this process has is never less than what a newcomer may take."""
    places, sizes, sitting = Places(), dict[str, int](), 0
    for number, step in enumerate(steps):
        if step == "take" and places.take():
            sitting += 1
            assert sitting <= sum(sizes.values())
        elif step == "leave" and sitting:
            places.leave()
            sitting -= 1
        elif step == "add":
            places.add(PlaceGrant(str(number), number % 4, 0.0))
            sizes[str(number)] = number % 4
        elif step == "lose" and len(places):
            grant = next(iter(places))
            places.lose(grant)
            del sizes[grant.grant_id]
        elif step == "spare":
            for grant in places.spare():
                sizes[grant.grant_id] = grant.size
        assert places.taken == sitting
