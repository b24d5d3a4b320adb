"""Proofs of streamed thoughts: one that is not shown as the model has thought it has none."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct

from meshgate.dialects.json_text import Path


class ShownText:
    """Knows whether a text is shown as it was said."""

    def __init__(self) -> None:
        self._said = blake2b()
        self._shown = blake2b()

    @property
    def is_whole(self) -> bool:
        return self._said.digest() == self._shown.digest()

    def say(self, text: str) -> None:
        self._said.update(text.encode(errors="surrogatepass"))

    def show(self, text: str) -> None:
        self._shown.update(text.encode(errors="surrogatepass"))


class Proof(Struct, frozen=True):
    """Where a proof stands in an event, of which choice it is, and what was thought before it."""

    path: Path
    choice: int
    thoughts: Sequence[ShownText]


class Proofs:
    """Follows the thoughts of one stream, and what proves them."""

    def __init__(self) -> None:
        self._thoughts: dict[int, dict[str, ShownText]] = {}
        self._spoiled: set[int] = set()

    def say(self, choice: int, channel: str, text: str) -> ShownText:
        """Take note of more of a thought; who shows it says so to what is returned."""
        thought = self._thoughts.setdefault(choice, {}).setdefault(channel, ShownText())
        thought.say(text)
        return thought

    def known(self, choice: int, channel: str) -> ShownText | None:
        """The thought of a channel, if it is one."""
        return self._thoughts.get(choice, {}).get(channel)

    def end(self, choice: int, paths: Iterable[Path]) -> list[Proof]:
        """What the thoughts of a choice so far are proven by."""
        thoughts = list(self._thoughts.pop(choice, {}).values())
        return [Proof(path, choice, thoughts) for path in paths]

    def void(self, proofs: Iterable[Proof]) -> list[Path]:
        """Those of an event that prove what is not shown; for events in their order."""
        for proof in proofs:
            if not all(thought.is_whole for thought in proof.thoughts):
                self._spoiled.add(proof.choice)
        return [proof.path for proof in proofs if proof.choice in self._spoiled]


class EventProofs:
    """What one event has to do with thoughts.

    Args:
        of_stream: All of the stream.
        thoughts: Those that it ends, or has more of, by channel.
        proofs: What stands in it.
    """

    def __init__(
        self, of_stream: Proofs, thoughts: Mapping[str, ShownText], proofs: Sequence[Proof]
    ) -> None:
        self._of_stream = of_stream
        self._thoughts = thoughts
        self._proofs = proofs

    def show(self, texts: Iterable[tuple[str, str]]) -> None:
        """Take note of what is shown, by channel."""
        if self._thoughts:
            for channel, text in texts:
                if (thought := self._thoughts.get(channel)) is not None:
                    thought.show(text)

    def void(self) -> list[Path]:
        """Where what is not shown is proven."""
        return self._of_stream.void(self._proofs) if self._proofs else []
