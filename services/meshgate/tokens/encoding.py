"""OpenAI's encodings, from files that lie beside this module: nothing is fetched."""

import base64
import enum
import functools
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiktoken import Encoding

DIRECTORY = Path(__file__).resolve().parent / "encodings"


class EncodingName(enum.Enum):
    """The encodings that are shipped."""

    CL100K = "cl100k_base"
    O200K = "o200k_base"


# Whatever is newer, or not OpenAI's, is counted with O200K: gpt-4o and gpt-4.1 too. So a name ends
# here, or goes on with "-0613" or, if it was fine-tuned, with ":" and its owner.
_OF_CL100K = re.compile(
    r"(?:.*/)?(?:ft:)?"
    r"(?:gpt-4|gpt-3\.5|gpt-35|text-embedding-ada-002|text-embedding-3|davinci-002|babbage-002)"
    r"(?:[-:].*)?"
)


def of_model(model: str) -> EncodingName:
    """The encoding of an upstream's model, by the name that OpenAI gave it.

    Azure's "gpt-35-turbo" and names with an owner, such as "openai/gpt-4", are understood. A name
    that is not known has the newest encoding: other makers do not publish theirs, and it comes
    close.
    """
    return EncodingName.CL100K if _OF_CL100K.fullmatch(model) else EncodingName.O200K


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What makes an encoding, beside its file; published with tiktoken."""

    pattern: str
    special_tokens: Mapping[str, int]


_RECIPES = {
    EncodingName.CL100K: _Recipe(
        "|".join(
            [
                r"""'(?i:[sdmt]|ll|ve|re)""",
                r"""[^\r\n\p{L}\p{N}]?+\p{L}++""",
                r"""\p{N}{1,3}+""",
                r""" ?[^\s\p{L}\p{N}]++[\r\n]*+""",
                r"""\s++$""",
                r"""\s*[\r\n]""",
                r"""\s+(?!\S)""",
                r"""\s""",
            ]
        ),
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    EncodingName.O200K: _Recipe(
        "|".join(
            [
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""\p{N}{1,3}""",
                r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
                r"""\s*[\r\n]+""",
                r"""\s+(?!\S)""",
                r"""\s+""",
            ]
        ),
        {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}

_loading = threading.Lock()


def load(name: EncodingName) -> Encoding:
    """The encoding, built when it is first asked for and kept for the life of the process.

    Building blocks the thread for 0.25 to 0.5 seconds, and every other thread for up to 0.2 of
    them: tiktoken holds the interpreter's lock. An encoding takes 60 to 70 MB.

    Raises:
        OSError: Its file is missing: the installation is broken.
    """
    # cache() alone would let two threads build the same one at the same time.
    with _loading:
        return _built(name)


@functools.cache
def _built(name: EncodingName) -> Encoding:
    recipe = _RECIPES[name]
    return Encoding(
        name.value,
        pat_str=recipe.pattern,
        mergeable_ranks=_ranks(DIRECTORY / f"{name.value}.tiktoken"),
        special_tokens=dict(recipe.special_tokens),
    )


def _ranks(file: Path) -> dict[bytes, int]:
    pairs = (line.split() for line in file.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
