"""`meshgate chat`: talks to a model through the gateway."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TypeAlias

import click
import httpx

from meshgate.cli.data_directory import DataDirectory, data_directory_option
from meshgate.cli.examples import examples
from meshgate.cli.gateway import Gateway, error_message
from meshgate.dialects.sse import EventReader

Turn: TypeAlias = dict[str, str]

_DONE = b"[DONE]"


@click.command(
    "chat",
    short_help="Talk to a model through the gateway.",
    epilog=examples('meshgate chat demo "Hello!"', "meshgate chat demo < question.txt"),
)
@click.argument("model")
@click.argument("prompt", required=False)
@data_directory_option
def chat_command(model: str, prompt: str | None, data_directory: DataDirectory) -> None:
    """Talk to a model through the gateway, with the key in MESHGATE_KEY or else the admin key.

    Without a PROMPT it is read from standard input; in a terminal that becomes a conversation,
    which Ctrl-D ends.
    """
    conversation = Conversation(Gateway.for_models(data_directory), model)
    if prompt is None and sys.stdin.isatty():
        _converse(conversation)
        return
    question = sys.stdin.read().strip() if prompt is None else prompt
    if not question:
        raise click.UsageError("there is nothing to ask: give a PROMPT, or text on standard input")
    _print_answer(conversation, question)


class Conversation:
    """What was said so far, between a person and a model."""

    def __init__(self, gateway: Gateway, model: str) -> None:
        self._gateway = gateway
        self._model = model
        self._turns: list[Turn] = []

    def ask(self, question: str) -> Iterator[str]:
        """The answer, as it is written. The turn is kept when the answer is whole.

        Raises:
            click.ClickException: The gateway refuses, or the answer is cut off.
        """
        turns = [*self._turns, {"role": "user", "content": question}]
        answer = ""
        for text in self._answer(turns):
            answer += text
            yield text
        self._turns = [*turns, {"role": "assistant", "content": answer}]

    def _answer(self, turns: list[Turn]) -> Iterator[str]:
        body = {"model": self._model, "messages": turns, "stream": True}
        with (
            self._gateway.reached(),
            self._gateway.client() as client,
            client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            if not response.is_success:
                response.read()
            self._gateway.check(response)
            yield from self._texts(response)

    def _texts(self, response: httpx.Response) -> Iterator[str]:
        for data in _events(response):
            if data == _DONE:
                return
            chunk = self._gateway.parsed(data)
            if "error" in chunk:
                raise click.ClickException(error_message(chunk) or "the answer was cut off")
            for choice in chunk.get("choices", ()):
                yield choice.get("delta", {}).get("content") or ""
        raise click.ClickException("the answer was cut off: ask again")


def _events(response: httpx.Response) -> Iterator[bytes]:
    reader = EventReader()
    for data in response.iter_bytes():
        for event in reader.feed(data):
            yield event.data
    for event in reader.close():
        yield event.data


def _converse(conversation: Conversation) -> None:
    """Questions and answers until the end of input; Ctrl-C ends an answer, or else the talk."""
    with contextlib.suppress(EOFError, click.Abort, KeyboardInterrupt):
        while True:
            question = click.prompt("you", prompt_suffix="> ", type=str).strip()
            try:
                _print_answer(conversation, question)
            except KeyboardInterrupt:
                click.echo()
            except click.ClickException as error:
                error.show()
    click.echo()


def _print_answer(conversation: Conversation, question: str) -> None:
    begun = False
    try:
        for text in conversation.ask(question):
            click.echo(text, nl=False)
            begun = True
    finally:
        if begun:
            click.echo()
