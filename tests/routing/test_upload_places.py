"""Places for uploads."""

import pytest

from meshgate.routing.uploads.places import UploadPlaces
from meshgate.runtime.errors import ServiceUnavailableError


def test_a_caller_may_take_some_and_another_one_still_has_some():
    places = UploadPlaces(most=3, most_of_one=2)

    with places.one("a"), places.one("a"):
        with pytest.raises(ServiceUnavailableError, match="of this caller"), places.one("a"):
            pass
        with (
            places.one("b"),
            pytest.raises(ServiceUnavailableError, match="too many"),
            places.one("c"),
        ):
            pass


def test_a_place_is_given_back_whatever_becomes_of_an_upload():
    places = UploadPlaces(most=1, most_of_one=1)

    with pytest.raises(ZeroDivisionError), places.one("a"):
        raise ZeroDivisionError
    with places.one("a"):
        pass
