"""The application's own classes, which answers and calls are to have the form of."""

from typing import Any

from pydantic import BaseModel, field_validator


class Place(BaseModel):
    """Where something is."""

    city: str


class Town(BaseModel):
    """Where something is, by its proper name."""

    city: str

    @field_validator("city")
    @classmethod
    def begins_well(cls, city: str) -> str:
        if not city[:1].isupper():
            raise ValueError("a city begins with a capital letter")
        return city


class Weather(BaseModel):
    """Look up the weather of a city."""

    city: str


def says(words: str) -> list[Any]:
    """A conversation of one message."""
    return [{"role": "user", "content": words}]
