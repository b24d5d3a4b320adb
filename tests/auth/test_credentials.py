import re

import pytest
from auth.opened_records import PEPPER, PEPPERS
from hypothesis import given
from hypothesis import strategies as st

from meshgate.auth.credentials import Credential, Peppers

MADE = PEPPERS.new_credential()
NEWER = Peppers("a pepper that is newer", PEPPER)


def test_a_new_key_has_the_form_that_people_know():
    public_id = r"[abcdefghjkmnpqrstuvwxyz23456789]{20}"

    assert re.fullmatch(rf"mg-{public_id}-[0-9A-Za-z]{{43}}", MADE.text)
    assert re.fullmatch(rf"key_{public_id}", MADE.key_id)


def test_a_key_is_read_back():
    assert PEPPERS.read(MADE.text) == MADE


def test_no_two_keys_are_the_same():
    assert len({PEPPERS.new_credential().text for _ in range(100)}) == 100


# Told by name: a secret in a test's name would be another in each process that runs tests.
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("mg-", id="the prefix alone"),
        pytest.param(MADE.text[:-1], id="too short"),
        pytest.param(MADE.text + "x", id="too long"),
        pytest.param(MADE.text + "\n", id="a line"),
        pytest.param(MADE.text.upper(), id="in capitals"),
        pytest.param(MADE.text.removeprefix("mg-"), id="without the prefix"),
        pytest.param(MADE.text.replace("-", "_"), id="underscores"),
        pytest.param("mg-admin-" + MADE.secret, id="another's id"),
    ],
)
def test_what_has_another_form_is_no_key(text):
    assert PEPPERS.read(text) is None


@given(st.text())
def test_text_is_no_key(text):
    assert PEPPERS.read(text) is None
    assert PEPPERS.read(f"mg-{text}-{MADE.secret}") is None


def test_an_id_that_was_made_up_is_told_without_asking_anyone():
    stranger = Peppers("some other pepper").new_credential()

    assert PEPPERS.read(stranger.text) is None


def test_the_secret_is_what_proves_a_key():
    kept = PEPPERS.hash(MADE)

    assert PEPPERS.prove(MADE, kept)
    assert not PEPPERS.prove(PEPPERS.new_secret(MADE.key_id), kept)
    assert not PEPPERS.prove(Credential("key_other", MADE.secret), kept)
    assert not PEPPERS.prove(MADE, b"")


def test_keys_stay_good_while_a_newer_pepper_comes_before():
    assert NEWER.read(MADE.text) == MADE
    assert NEWER.prove(MADE, PEPPERS.hash(MADE))


def test_the_first_pepper_hashes_new_keys():
    made = NEWER.new_credential()

    assert Peppers("a pepper that is newer").read(made.text) == made
    assert PEPPERS.read(made.text) is None
    assert not PEPPERS.prove(made, NEWER.hash(made))


def test_a_key_that_is_rotated_with_a_newer_pepper_owes_the_older_one_but_its_id():
    rotated = NEWER.new_secret(MADE.key_id)

    assert NEWER.read(rotated.text) == rotated
    assert Peppers("a pepper that is newer").prove(rotated, NEWER.hash(rotated))
    assert not PEPPERS.prove(rotated, NEWER.hash(rotated))


def test_peppers_are_parted_by_commas():
    peppers = Peppers.parse(f" a pepper that is newer , {PEPPER},")

    assert peppers.prove(MADE, PEPPERS.hash(MADE))


@pytest.mark.parametrize("text", ["", " , ", "too short", f"{PEPPER},too short"])
def test_a_short_pepper_is_refused_without_being_repeated(text):
    with pytest.raises(ValueError, match="at least 16 characters") as caught:
        Peppers.parse(text)

    assert "too short" not in str(caught.value)


def test_what_is_signed_with_an_older_pepper_is_still_signed():
    assert NEWER.is_signed(b"content", PEPPERS.sign(b"content"))
    assert not NEWER.is_signed(b"other", PEPPERS.sign(b"content"))


def test_neither_secrets_nor_peppers_are_shown():
    assert MADE.secret not in repr(MADE)
    assert PEPPER not in repr(PEPPERS)
