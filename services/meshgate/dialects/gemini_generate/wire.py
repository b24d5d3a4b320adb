"""The messages of a request as they stand in the JSON, in Google's own spelling."""

from msgspec import Raw, Struct

from meshgate.dialects.gemini_generate.member_names import Shape


class Blob(Struct, rename="camel", forbid_unknown_fields=True):
    """Data within the body."""

    data: str = ""
    mime_type: str | None = None
    display_name: str | None = None


class FileData(Struct, rename="camel", forbid_unknown_fields=True):
    """Data elsewhere."""

    file_uri: str = ""
    mime_type: str | None = None
    display_name: str | None = None


class FunctionCall(Struct, rename="camel", forbid_unknown_fields=True):
    """What the model wants to have called."""

    name: str
    id: str | None = None
    args: Raw = Raw()


class ResponsePart(Struct, rename="camel", forbid_unknown_fields=True):
    """A picture or a document that a function gave back."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Struct, rename="camel", forbid_unknown_fields=True):
    """What a function gave back."""

    name: str = ""
    id: str | None = None
    response: Raw = Raw()
    parts: list[ResponsePart] | None = None


class MediaResolution(Struct, rename="camel", forbid_unknown_fields=True):
    """How closely a picture is looked at."""

    level: str | None = None


class Part(Struct, rename="camel", forbid_unknown_fields=True):
    """A part; one of its members says what it is."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    media_resolution: MediaResolution | None = None


class Content(Struct, rename="camel", forbid_unknown_fields=True):
    """A turn of the conversation."""

    parts: list[Part] | None = None
    role: str | None = None


_PART: Shape = {
    "inlineData": {},
    "fileData": {},
    "functionCall": {},
    "functionResponse": {"parts": {"inlineData": {}, "fileData": {}}},
    "mediaResolution": {},
}
CONTENT: Shape = {"parts": _PART}
REQUEST: Shape = {
    "contents": CONTENT,
    "systemInstruction": CONTENT,
    "tools": {"functionDeclarations": {}},
    "toolConfig": {"functionCallingConfig": {}},
    "generationConfig": {"thinkingConfig": {}},
    "safetySettings": {},
}
