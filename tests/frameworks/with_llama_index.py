"""LlamaIndex: its classes of models around the SDKs of three vendors, and its agent."""

from collections.abc import Callable
from functools import cache
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms import ChatMessage
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.google_genai import GoogleGenAI
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike
from wishes import Place

# Given, for LlamaIndex knows them by the names of the vendors' models only.
_SIZES = {"context_window": 100_000, "max_tokens": 500}


@cache
def made(origin: str, key: str, kind: str, model: str) -> "LlamaIndex":
    """LlamaIndex at a gateway.

    Args:
        kind: One of _MODELS.
        model: As the gateway names it.
    """
    return LlamaIndex(_MODELS[kind](origin, key, model))


class LlamaIndex:
    """A model, asked in the ways of applications."""

    def __init__(self, model: FunctionCallingLLM) -> None:
        self._model = model

    async def answer(self, words: str) -> Any:
        return (await self._model.acomplete(words)).text

    async def answer_in_pieces(self, words: str) -> Any:
        pieces = await self._model.astream_chat([ChatMessage(words)])
        return [piece.delta async for piece in pieces if piece.delta]

    async def answer_with_tools(self, words: str) -> Any:
        """The answer after rounds of tools, and the cities that they were called for."""
        report = WeatherReport()
        said = [ChatMessage(words)]
        while True:
            answer = await self._model.achat_with_tools(
                [report.tool], chat_history=said, allow_parallel_tool_calls=True
            )
            said.append(answer.message)
            calls = self._model.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
            if not calls:
                return [answer.message.content, report.cities]
            for call in calls:
                result = report.get_weather(**call.tool_kwargs)
                of = {"tool_call_id": call.tool_id}
                said.append(ChatMessage(result, role="tool", additional_kwargs=of))

    async def answer_of_an_agent(self, words: str) -> Any:
        """The same by a loop of LlamaIndex's own, which streams."""
        report = WeatherReport()
        answer = await FunctionAgent(tools=[report.tool], llm=self._model).run(words)
        return [answer.response.content, report.cities]

    async def place(self, words: str) -> Any:
        return (await self._model.astructured_predict(Place, PromptTemplate(words))).city

    async def place_in_pieces(self, words: str) -> Any:
        """What is known of it after each piece of a stream."""
        pieces = await self._model.astream_structured_predict(Place, PromptTemplate(words))
        return [piece.city async for piece in pieces]


class WeatherReport:
    """A tool that notes what it was asked for."""

    def __init__(self) -> None:
        self.cities: list[str] = []
        self.tool = FunctionTool.from_defaults(self.get_weather)

    def get_weather(self, city: str) -> str:
        """The weather of a city."""
        self.cities.append(city)
        return f"sunny in {city}"


class AnyClaude(Anthropic):
    """Anthropic's class, for models by any name."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(
            context_window=_SIZES["context_window"],
            num_output=self.max_tokens,
            is_chat_model=True,
            is_function_calling_model=True,
            model_name=self.model,
        )


def _chat(origin: str, key: str, model: str, *, has_schemas: bool) -> FunctionCallingLLM:
    return OpenAILike(
        model=model,
        api_base=f"{origin}/v1",
        api_key=key,
        max_retries=0,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=has_schemas,
        **_SIZES,
    )


def _responses(origin: str, key: str, model: str) -> FunctionCallingLLM:
    return OpenAIResponses(
        model=model,
        api_base=f"{origin}/v1",
        api_key=key,
        max_retries=0,
        context_window=_SIZES["context_window"],
    )


def _messages(origin: str, key: str, model: str) -> FunctionCallingLLM:
    length = _SIZES["max_tokens"]
    return AnyClaude(model=model, base_url=origin, api_key=key, max_retries=0, max_tokens=length)


def _gemini(origin: str, key: str, model: str) -> FunctionCallingLLM:
    options = {"base_url": origin}
    return GoogleGenAI(model=model, api_key=key, http_options=options, max_retries=0, **_SIZES)


_MODELS: dict[str, Callable[[str, str, str], FunctionCallingLLM]] = {
    "chat": lambda *at: _chat(*at, has_schemas=False),
    "chat with schemas": lambda *at: _chat(*at, has_schemas=True),
    "responses": _responses,
    "messages": _messages,
    "gemini": _gemini,
}
