"""What may be written under `providers:`."""

from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from meshgate.config.cloud_schema import (
    AzureSection,
    BedrockSection,
    CohereSection,
    VertexSection,
)
from meshgate.config.fields import Duration, Secret, Section, UpstreamAddress, lasting
from meshgate.config.http_schema import HttpSection
from meshgate.config.openai_family.members import MEMBERS
from meshgate.config.snapshot import DemoFault

if TYPE_CHECKING:
    FamilyKind: TypeAlias = str
else:
    FamilyKind = Literal[tuple(MEMBERS)]


class OpenAiSection(HttpSection):
    """OpenAI itself, or something that is in all points like it."""

    kind: Literal["openai"] = Field(description="`openai`.")
    api_key: Secret = Field(description="The key for the upstream.")
    base_url: UpstreamAddress = Field(
        "https://api.openai.com/v1", description="The API's address, with its version."
    )
    organization: str | None = Field(
        None, min_length=1, description="OpenAI organization that usage is counted for."
    )
    project: str | None = Field(
        None, min_length=1, description="OpenAI project that usage is counted for."
    )
    api: Literal["chat", "responses"] = Field(
        "chat",
        description="Which API answers chats in another format than OpenAI's two: `chat` for "
        "chat completions, or `responses`, which some models have only. Callers of responses "
        "are always answered by these.",
    )


class OpenAiCompatibleSection(HttpSection):
    """A server that speaks OpenAI's API: vLLM, Ollama, llama.cpp, TGI, another gateway."""

    kind: Literal["openai-compatible"] = Field(description="`openai-compatible`.")
    base_url: UpstreamAddress = Field(
        description="The server's address with its version, for instance http://127.0.0.1:11434/v1."
    )
    api_key: Secret | None = Field(None, description="The key for the upstream, if it wants one.")
    responses: bool = Field(
        default=False,
        description="Whether the server has OpenAI's responses; callers of these are then answered "
        "by them, and by chat completions otherwise.",
    )


class AnthropicSection(HttpSection):
    """Anthropic itself, or something that speaks its API."""

    kind: Literal["anthropic"] = Field(description="`anthropic`.")
    api_key: Secret = Field(description="The key for the upstream.")
    base_url: UpstreamAddress = Field(
        "https://api.anthropic.com/v1", description="The API's address, with its version."
    )


class GeminiSection(HttpSection):
    """Google's Gemini API, or something that is in all points like it."""

    kind: Literal["gemini"] = Field(description="`gemini`.")
    api_key: Secret = Field(description="The key for the upstream, from Google AI Studio.")
    base_url: UpstreamAddress = Field(
        "https://generativelanguage.googleapis.com/v1beta",
        description="The API's address, with its version.",
    )


class FamilySection(HttpSection):
    """A provider of OpenAI's family whose ways the gateway knows: see docs/providers.md."""

    kind: FamilyKind = Field(description=f"One of {', '.join(f'`{kind}`' for kind in MEMBERS)}.")
    base_url: UpstreamAddress | None = Field(
        None,
        description="The API's address, with its version; the provider's usual one if not given.",
    )
    api_key: Secret | None = Field(
        None, description="The key for the upstream; required but for servers of one's own."
    )

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        variable = MEMBERS[self.kind].key_variable
        if variable and self.api_key is None:
            raise ValueError(f"must have an `api_key`, for instance ${{env:{variable}}}")
        return self


class DemoSection(Section):
    """Answers inside the gateway, without any upstream: for trying things out."""

    kind: Literal["demo"] = Field(description="`demo`.")
    delay: Duration = lasting("0s", "How long to wait before the first word.")
    word_delay: Duration = lasting("0s", "How long to wait between two words.")
    fail: DemoFault | None = Field(
        None,
        description="What to pretend to suffer from; `cut` breaks a stream off in the middle.",
    )
    fail_first: int | None = Field(
        None, ge=1, description="Fail this many requests after the start, then answer well."
    )

    @model_validator(mode="after")
    def _check_fault(self) -> Self:
        if self.fail_first is not None and self.fail is None:
            raise ValueError("`fail_first` needs `fail`: say what to fail with")
        return self


ProviderSection = Annotated[
    OpenAiSection
    | OpenAiCompatibleSection
    | FamilySection
    | AnthropicSection
    | GeminiSection
    | AzureSection
    | BedrockSection
    | CohereSection
    | VertexSection
    | DemoSection,
    Field(discriminator="kind"),
]
