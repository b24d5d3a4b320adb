"""The neutral form: what every chat and embeddings dialect can be read into and written from.

It mirrors `protos/meshgate/v1/chat.proto` and is a superset of what the dialects express. A text
that is empty and a tuple that is empty are absent; where zero or an empty value means something of
its own, absence is `None`.
"""

import enum
from typing import TypeAlias

from msgspec import Struct


class Role(enum.Enum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FinishReason(enum.Enum):
    """Why an answer ended; UNSPECIFIED where the upstream did not say."""

    UNSPECIFIED = "unspecified"
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class ToolChoiceMode(enum.Enum):
    """The rule of a ToolChoice."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ResponseFormatKind(enum.Enum):
    """The form of an answer."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"


class Usage(Struct, frozen=True, kw_only=True):
    """What one answer consumed, in tokens; the part fields are contained in the whole ones.

    `service_tier` is how the upstream served it, by its own name for that; empty if it did not say.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    long_cache_creation_input_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    service_tier: str = ""


class Text(Struct, frozen=True):
    """Plain text."""

    text: str


class Image(Struct, frozen=True, kw_only=True):
    """A picture: either `uri`, or `data` with its `media_type`."""

    uri: str = ""
    data: bytes = b""
    media_type: str = ""
    detail: str = ""


class Audio(Struct, frozen=True, kw_only=True):
    """Recorded sound, in a format such as `wav` or `mp3`."""

    data: bytes
    format: str


class File(Struct, frozen=True, kw_only=True):
    """A document: either `data`, or the `file_id` that the provider gave it."""

    data: bytes = b""
    file_id: str = ""
    filename: str = ""
    media_type: str = ""


class ToolCall(Struct, frozen=True, kw_only=True):
    """The model's wish to have a tool called; the arguments are as it wrote them, valid or not."""

    id: str
    name: str
    arguments_json: str = ""


class ToolResult(Struct, frozen=True, kw_only=True):
    """What a tool gave back."""

    tool_call_id: str
    text: str


class Reasoning(Struct, frozen=True, kw_only=True):
    """What the model thought; the signature is the provider's proof that the thought is its own."""

    text: str
    signature: bytes = b""


class Refusal(Struct, frozen=True):
    """Why the model would not answer."""

    text: str


Part: TypeAlias = Text | Image | Audio | File | ToolCall | ToolResult | Reasoning | Refusal


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str = ""


class Tool(Struct, frozen=True, kw_only=True):
    """A function that the model may ask to have called; `parameters_json` is a JSON object."""

    name: str
    description: str = ""
    parameters_json: bytes = b""
    strict: bool | None = None


class ToolChoice(Struct, frozen=True, kw_only=True):
    """Whether the model must, may or must not call a tool; `name` goes with NAMED."""

    mode: ToolChoiceMode
    name: str = ""


class ResponseFormat(Struct, frozen=True, kw_only=True):
    """The form of the answer; all but `kind` go with JSON_SCHEMA."""

    kind: ResponseFormatKind
    schema_json: bytes = b""
    name: str = ""
    description: str = ""
    strict: bool | None = None


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One question to a model.

    `extra_json` is a JSON object of what the upstream may know and this form does not, or empty.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    metadata: dict[str, str] = {}
    extra_json: bytes = b""


class ChatResponse(Struct, frozen=True, kw_only=True):
    """A whole answer; `usage` is None where the upstream did not say."""

    id: str
    served_model: str
    message: Message
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
    usage: Usage | None = None


class Started(Struct, frozen=True, kw_only=True):
    """A streamed answer begins."""

    id: str
    served_model: str


class TextDelta(Struct, frozen=True):
    """More text."""

    text: str


class ReasoningDelta(Struct, frozen=True):
    """More of what the model thinks."""

    text: str


class RefusalDelta(Struct, frozen=True):
    """More of a refusal."""

    text: str


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """A fragment of the tool call `index`; only its first one brings `id` and `name`."""

    index: int
    id: str = ""
    name: str = ""
    arguments_fragment: str = ""


class Finished(Struct, frozen=True, kw_only=True):
    """The streamed answer is whole."""

    reason: FinishReason
    usage: Usage | None = None


ChatEvent: TypeAlias = (
    Started | TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | Finished
)


class EncodingFormat(enum.Enum):
    """How the caller wants vectors written."""

    FLOAT = "float"
    BASE64 = "base64"


class EmbeddingsRequest(Struct, frozen=True, kw_only=True):
    """Texts, or texts already cut into tokens, to be turned into vectors."""

    model: str
    inputs: tuple[str, ...] | tuple[tuple[int, ...], ...]
    encoding_format: EncodingFormat = EncodingFormat.FLOAT
    dimensions: int | None = None
    extra_json: bytes = b""


class EmbeddingsResponse(Struct, frozen=True, kw_only=True):
    """One vector for each input, in order."""

    served_model: str
    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None = None
