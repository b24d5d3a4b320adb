"""Frameworks that applications are built with, each asked in its own way for the same things.

They bring loops, prompts and parsers of their own around the SDKs: what an application sends is theirs.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, Protocol

import anthropic
import httpx
import httpx2
from gateway_process import Gateway
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from plain_http import TRUSTS_NOBODY
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

Way = Literal["by schema", "by tool"]
# What Pydantic AI would else guess by the name of the model.
_PROFILE = ModelProfile(supports_json_schema_output=True)


class Place(BaseModel):
    """Where something is."""

    city: str


class WeatherReport:
    """A tool that notes what it was asked for."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def get_weather(self, city: str) -> str:
        """The weather of a city."""
        self.cities.append(city)
        return f"sunny in {city}"


class Framework(Protocol):
    """What is asked of each."""

    async def answer(self, question: str) -> str: ...

    def stream(self, question: str) -> AsyncIterator[str]: ...

    async def answer_with(self, report: WeatherReport, question: str) -> str:
        """The answer after a round of tools."""
        ...

    async def place(self, question: str, way: Way) -> Place:
        """An answer of a form that the application has given."""
        ...


class LangChain:
    """LangChain's chat models."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    async def answer(self, question: str) -> str:
        return (await self._model.ainvoke(question)).text

    async def stream(self, question: str) -> AsyncIterator[str]:
        async for chunk in self._model.astream(question):
            yield chunk.text

    async def answer_with(self, report: WeatherReport, question: str) -> str:
        model = self._model.bind_tools([report.get_weather])
        said: list[Any] = [HumanMessage(question)]
        while True:
            answer = await model.ainvoke(said)
            said.append(answer)
            if not answer.tool_calls:
                return answer.text
            for call in answer.tool_calls:
                result = report.get_weather(**call["args"])
                said.append(ToolMessage(result, tool_call_id=call["id"]))

    async def place(self, question: str, way: Way) -> Place:
        method = {"by schema": "json_schema", "by tool": "function_calling"}[way]
        found = await self._model.with_structured_output(Place, method=method).ainvoke(question)
        assert isinstance(found, Place)
        return found


class PydanticAI:
    """Pydantic AI's agents."""

    def __init__(self, model: Model[Any]) -> None:
        self._model = model

    async def answer(self, question: str) -> str:
        return (await Agent(self._model).run(question)).output

    async def stream(self, question: str) -> AsyncIterator[str]:
        async with Agent(self._model).run_stream(question) as answer:
            async for piece in answer.stream_text(delta=True, debounce_by=None):
                yield piece

    async def answer_with(self, report: WeatherReport, question: str) -> str:
        return (await Agent(self._model, tools=[report.get_weather]).run(question)).output

    async def place(self, question: str, way: Way) -> Place:
        wanted: Any = NativeOutput(Place) if way == "by schema" else Place
        return (await Agent(self._model, output_type=wanted).run(question)).output


class Frameworks:
    """The frameworks at a gateway, by their names and what they speak."""

    NAMES = (
        "langchain chat",
        "langchain responses",
        "langchain messages",
        "pydantic-ai chat",
        "pydantic-ai responses",
        "pydantic-ai messages",
    )

    def __init__(self, gateway: Gateway) -> None:
        self._origin, self._key = gateway.base_url, gateway.key
        # Nothing here is encrypted, and to load certificates takes longer than to ask.
        self._http = httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY, timeout=60)
        self._http2 = httpx2.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY, timeout=60)
        self._unused = httpx.Client(trust_env=False, verify=TRUSTS_NOBODY)
        self._makers: dict[str, Callable[[str], Framework]] = {
            "langchain chat": lambda model: LangChain(self._chat_openai(model)),
            "langchain responses": lambda model: LangChain(
                self._chat_openai(model, use_responses_api=True)
            ),
            "langchain messages": lambda model: LangChain(self._chat_anthropic(model)),
            "pydantic-ai chat": lambda model: PydanticAI(
                OpenAIChatModel(model, provider=self._openai())
            ),
            "pydantic-ai responses": lambda model: PydanticAI(
                OpenAIResponsesModel(model, provider=self._openai())
            ),
            "pydantic-ai messages": lambda model: PydanticAI(
                AnthropicModel(model, provider=self._anthropic(), profile=_PROFILE)
            ),
        }

    async def close(self) -> None:
        await self._http.aclose()
        await self._http2.aclose()
        self._unused.close()

    def get(self, name: str, model: str) -> Framework:
        """The framework of one of NAMES, at a model of the gateway."""
        return self._makers[name](model)

    def _chat_openai(self, model: str, **more: Any) -> ChatOpenAI:
        return ChatOpenAI(
            model=model,
            base_url=f"{self._origin}/v1",
            api_key=self._key,
            http_client=self._unused,
            http_async_client=self._http,
            max_retries=0,
            **more,
        )

    def _chat_anthropic(self, model: str) -> ChatAnthropic:
        made = ChatAnthropic(
            model=model, base_url=self._origin, api_key=self._key, max_retries=0, max_tokens=500
        )
        # Its own client is shared by all and never closed, and there is no argument for another one.
        vars(made)["_async_client"] = anthropic.AsyncAnthropic(
            base_url=self._origin, api_key=self._key, max_retries=0, http_client=self._http2
        )
        return made

    def _openai(self) -> OpenAIProvider:
        return OpenAIProvider(
            base_url=f"{self._origin}/v1", api_key=self._key, http_client=self._http2
        )

    def _anthropic(self) -> AnthropicProvider:
        return AnthropicProvider(base_url=self._origin, api_key=self._key, http_client=self._http2)
