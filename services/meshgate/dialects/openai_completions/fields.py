"""The members of a completion request, by what becomes of them in the neutral form.

What stands in neither set only steers the upstream, or is unknown: it passes through `extra_json`.
"""

EXPRESSED = frozenset(
    {
        "model",
        "prompt",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "stream",
        "stream_options",
    }
)

# Refused, with the values that ask for nothing: there is one answer, and it is text.
INEXPRESSIBLE: dict[str, tuple[bytes, ...]] = {
    "n": (b"1",),
    "best_of": (b"1",),
    "logprobs": (),
    "echo": (b"false",),
    "suffix": (b'""',),
}
