"""Asks a gateway by a framework: `python tests/frameworks instructor` answers questions in JSON, one a line.

It runs in the virtual environment that `make .venv-frameworks/.installed` makes, without Meshgate: all it
knows of it is in the questions. Answers are told by tests/mesh/framework_process.py.
"""

import asyncio
import importlib
import json
import os
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

MODULES = {"instructor": "with_instructor", "llama-index": "with_llama_index"}


def main() -> None:
    """Answer until there are no more questions."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what frameworks print is no answer
    framework = importlib.import_module(MODULES[sys.argv[1]])
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            answer = runner.run(_answer(framework, json.loads(line)))
            print(json.dumps(answer), file=answers, flush=True)


async def _answer(framework: ModuleType, question: dict[str, Any]) -> dict[str, Any]:
    """What a task gave, or the classes of what it raised."""
    try:
        asked = framework.made(question["origin"], question["key"], **question["by"])
        return {"value": await getattr(asked, question["task"])(question["words"])}
    except Exception as error:  # whatever it is, the test decides
        return {"raised": list(_classes(error)), "traceback": traceback.format_exc()}


def _classes(error: BaseException | None) -> Iterator[str]:
    """The names of the classes of an error and of its causes."""
    while error is not None:
        yield from (f"{it.__module__}.{it.__name__}" for it in type(error).__mro__)
        error = error.__cause__


if __name__ == "__main__":
    main()
