"""A framework that cannot be installed beside what the other tests need, asked in a Python of its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_process import Gateway

_ROOT = Path(__file__).parents[2]
_SCRIPT = _ROOT / "tests" / "frameworks"
_ENVIRONMENT = os.environ.get("FRAMEWORKS_VENV", ".venv-frameworks")


class RaisedError(AssertionError):
    """What a framework has raised, with its traceback.

    Attributes:
        classes: The names of the error's classes, and of those of its causes, as `openai.APIError`.
    """

    def __init__(self, classes: list[str], traceback: str) -> None:
        super().__init__(traceback)
        self.classes = frozenset(classes)


class FrameworkProcess:
    """Where a framework of tests/frameworks runs."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._questions, self._answers = process.stdin, process.stdout
        self._log = log

    def tell(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question."""
        self._questions.write(json.dumps(question) + "\n")
        self._questions.flush()
        line = self._answers.readline()
        assert line, f"the framework has ended:\n{self._log.read_text()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


class Framework:
    """A framework, as an application uses it at a gateway."""

    def __init__(self, process: FrameworkProcess, gateway: Gateway) -> None:
        self._process = process
        self._place = {"origin": gateway.base_url, "key": gateway.key}

    def ask(self, task: str, words: str, **by: str) -> Any:
        """What a task of tests/frameworks gives.

        Args:
            task: The name of its method.
            words: The prompt.
            **by: How the framework is set up.

        Raises:
            RaisedError: The framework has raised an error.
        """
        answer = self._process.tell({"task": task, "words": words, "by": by} | self._place)
        if "raised" in answer:
            raise RaisedError(answer["raised"], answer["traceback"])
        return answer["value"]

    def failure(self, task: str, words: str, **by: str) -> RaisedError:
        """The error of a task that has to fail."""
        with pytest.raises(RaisedError) as caught:
            self.ask(task, words, **by)
        return caught.value


@contextmanager
def running_framework(name: str, directory: Path) -> Iterator[FrameworkProcess]:
    """A framework of tests/frameworks; its log and its home are in the directory."""
    made = f"{_ENVIRONMENT}/.installed"
    assert (_ROOT / made).exists(), f"`make {made}` comes first; `make test` does it"
    python = _ROOT / _ENVIRONMENT / "bin" / "python"
    log = directory / "framework.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [python, _SCRIPT, name],
            env={"PATH": os.environ["PATH"], "HOME": str(directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        yield FrameworkProcess(process, log)
        # That its input is closed here ends it.
