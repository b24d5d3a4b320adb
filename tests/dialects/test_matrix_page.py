"""The page about dialects says what the gateway does."""

from pathlib import Path

from dialects.matrix.page import written

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


def test_the_page_about_dialects_is_up_to_date():
    page = written()

    assert page == PAGE.read_text(), "make dialects writes it anew"


def test_the_page_about_dialects_tells_of_no_loss():
    page = written()

    assert "LOST" not in page
