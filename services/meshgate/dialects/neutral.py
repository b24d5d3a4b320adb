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
    The four before it are no tokens: pictures made, seconds of sound heard, characters spoken, and
    searches: what rerankers charge for, and those of the web that the upstream has made by itself.
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
    images: int = 0
    input_audio_seconds: int = 0
    input_characters: int = 0
    search_units: int = 0
    service_tier: str = ""


class Citation(Struct, frozen=True, kw_only=True):
    """Where an answer has something from.

    Attributes:
        uri: The source's address; empty for a document of the request.
        title: The source's name.
        quoted: What is cited, in the source's words.
        document: Which document of the request it is, from 0; None for none of them.
        start: Where in the text that holds it the statement begins, in characters; None if unknown.
        end: Where it ends, exclusive.
        source_unit: What the places in the source count: char, page or block; empty if unknown.
        source_start: Where in the source the quotation begins, in that unit; None if unknown.
        source_end: Where it ends there, exclusive.
    """

    uri: str = ""
    title: str = ""
    quoted: str = ""
    document: int | None = None
    start: int | None = None
    end: int | None = None
    source_unit: str = ""
    source_start: int | None = None
    source_end: int | None = None


class Text(Struct, frozen=True):
    """Plain text, and in an answer what it cites."""

    text: str
    citations: tuple[Citation, ...] = ()


class Image(Struct, frozen=True, kw_only=True):
    """A picture: either `uri`, or `data` with its `media_type`, or the provider's `file_id`."""

    uri: str = ""
    data: bytes = b""
    file_id: str = ""
    media_type: str = ""
    detail: str = ""


class Audio(Struct, frozen=True, kw_only=True):
    """Recorded sound, in a format such as `wav` or `mp3`."""

    data: bytes
    format: str


class File(Struct, frozen=True, kw_only=True):
    """A document: either `data`, or a `uri`, or the `file_id` that the provider gave it.

    `is_cited` asks for answers that cite it.
    """

    data: bytes = b""
    uri: str = ""
    file_id: str = ""
    filename: str = ""
    media_type: str = ""
    is_cited: bool = False


class ToolCall(Struct, frozen=True, kw_only=True):
    """The model's wish to have a tool called; the arguments are as it wrote them, valid or not.

    For a custom tool they are the text that it takes, and no JSON.
    """

    id: str
    name: str
    arguments_json: str = ""
    is_custom: bool = False


class ToolResult(Struct, frozen=True, kw_only=True):
    """What a tool gave back; `is_error` says that it failed."""

    tool_call_id: str
    content: tuple[Text | Image | File, ...] = ()
    is_error: bool = False

    @property
    def text(self) -> str:
        """All that it says in words."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


class Reasoning(Struct, frozen=True, kw_only=True):
    """What the model thought.

    Attributes:
        text: The thought, or its summary; empty where the provider keeps it to itself.
        signature: The provider's proof that the thought is its own, or the thought itself in a form
            that only the provider can read; to be sent back to it untouched.
        origin: The dialect of the upstream that signed it; empty where that is the one spoken here.
        is_redacted: Whether the signature is a thought that may not be shown.
        id: The upstream's name for it.

    Where an upstream signs what it says or the tools it calls, a thought without text that bears the
    signature stands before that part.
    """

    text: str
    signature: bytes = b""
    origin: str = ""
    is_redacted: bool = False
    id: str = ""


class Refusal(Struct, frozen=True):
    """Why the model would not answer."""

    text: str


class CachePoint(Struct, frozen=True, kw_only=True):
    """A hint: what stands before it, from the beginning of the request on, is worth being cached.

    `ttl` is how long, as `5m` or `1h`; empty for the upstream's usual time. Where an upstream caches by
    itself, or not at all, it is left out: the answer is the same.
    """

    ttl: str = ""


ExpressedPart: TypeAlias = Text | Image | Audio | File | ToolCall | ToolResult | Reasoning | Refusal
"""A part that says something, and is refused where it cannot be said."""

Part: TypeAlias = ExpressedPart | CachePoint


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str = ""

    @property
    def speaker_name(self) -> str:
        """Which one of its role speaks; results have the name of their tool, which their call has as well."""
        return "" if self.role is Role.TOOL else self.name


class Tool(Struct, frozen=True, kw_only=True):
    """A function that the model may ask to have called; `parameters_json` is a JSON object.

    Attributes:
        is_custom: Whether it takes text in place of arguments.
        format_json: The grammar of that text, a JSON object as OpenAI has it.
        cache_point: A hint that the tools so far are worth being cached.
    """

    name: str
    description: str = ""
    parameters_json: bytes = b""
    strict: bool | None = None
    is_custom: bool = False
    format_json: bytes = b""
    cache_point: CachePoint | None = None


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

    Attributes:
        reasoning_effort: How hard to think: none, minimal, low, medium, high, or what the model has.
        reasoning_budget_tokens: How much to think at most; 0 for not at all.
        shows_reasoning: Whether thoughts, or summaries of them, are to be shown.
        verbosity: How much to say: low, medium or high.
        user: Whom the application asks for, by a name of its own.
        extra_json: A JSON object of what the upstream may know and this form does not, or empty.
        extra_dialect: In whose terms that is; empty for the upstream's own, whatever it speaks.
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
    extra_dialect: str = ""
    top_k: int | None = None
    reasoning_budget_tokens: int | None = None
    shows_reasoning: bool | None = None
    verbosity: str | None = None
    user: str = ""


class ChatResponse(Struct, frozen=True, kw_only=True):
    """A whole answer; `usage` is None where the upstream did not say.

    `stop_sequence` is the one that ended it, where that is known.
    """

    id: str
    served_model: str
    message: Message
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
    usage: Usage | None = None
    stop_sequence: str = ""


class Started(Struct, frozen=True, kw_only=True):
    """A streamed answer begins."""

    id: str
    served_model: str


class TextDelta(Struct, frozen=True):
    """More text."""

    text: str


class CitationDelta(Struct, frozen=True):
    """What the text cites that was told last; its places are those in the whole text so far."""

    citation: Citation


class ReasoningDelta(Struct, frozen=True):
    """More of what the model thinks.

    A signature ends the thought: what comes after it is another one. The other members are those of
    Reasoning, and come with the signature.
    """

    text: str
    signature: bytes = b""
    origin: str = ""
    is_redacted: bool = False
    id: str = ""


class RefusalDelta(Struct, frozen=True):
    """More of a refusal."""

    text: str


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """A fragment of the tool call `index`; only its first one brings `id` and `name`."""

    index: int
    id: str = ""
    name: str = ""
    arguments_fragment: str = ""
    is_custom: bool = False


class Finished(Struct, frozen=True, kw_only=True):
    """The streamed answer is whole."""

    reason: FinishReason
    usage: Usage | None = None
    stop_sequence: str = ""


ChatEvent: TypeAlias = (
    Started | TextDelta | CitationDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | Finished
)


class EncodingFormat(enum.Enum):
    """How the caller wants vectors written."""

    FLOAT = "float"
    BASE64 = "base64"


class EmbeddingsRequest(Struct, frozen=True, kw_only=True):
    """Texts, or texts already cut into tokens, to be turned into vectors.

    Attributes:
        task: What the vectors are for, where their model makes a difference: retrieval_query,
            retrieval_document, classification, clustering, or another in words of this kind.
        extra_json: A JSON object of what the upstream may know and this form does not, or empty.
        extra_dialect: In whose terms that is; empty for the upstream's own, whatever it speaks.
    """

    model: str
    inputs: tuple[str, ...] | tuple[tuple[int, ...], ...]
    encoding_format: EncodingFormat = EncodingFormat.FLOAT
    dimensions: int | None = None
    extra_json: bytes = b""
    task: str = ""
    extra_dialect: str = ""


class EmbeddingsResponse(Struct, frozen=True, kw_only=True):
    """One vector for each input, in order."""

    served_model: str
    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None = None
