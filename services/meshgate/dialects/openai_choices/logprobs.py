"""Where choices tell how likely their tokens were."""

from meshgate.dialects.json_text import Path


def logprobs_in(choices: object) -> list[Path]:
    """Where tokens are told once more, with how likely they were."""
    if not isinstance(choices, list):
        return []
    return [
        ("choices", at, "logprobs")
        for at, choice in enumerate(choices)
        if isinstance(choice, dict) and choice.get("logprobs") is not None
    ]
