"""What callers ask for: each feature is a request that uses it, and what it stands out against."""

from dataclasses import dataclass, field
from typing import Any

from dialects.matrix import thinking
from dialects.matrix.vocabulary import (
    CALL,
    CALLED,
    HELLO,
    HI,
    NOON,
    PDF,
    PNG,
    RAIN,
    SCHEMA,
    SECOND_CALL,
    TIME,
    TURNS,
    WAV,
    WEATHER,
    WITH_TOOL,
    WITH_TOOLS,
    asking,
    assistant,
    system,
    told,
    user,
)

from meshgate.dialects.neutral import (
    Audio,
    CachePoint,
    ChatRequest,
    File,
    Image,
    Message,
    Reasoning,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)


@dataclass(frozen=True)
class Feature:
    """Something that a request may ask for.

    Attributes:
        name: As it stands in the page.
        group: The table that it stands in.
        request: A request that asks for it; None where the neutral form has no words for it.
        without: The same request without it.
        members: By caller's dialect, what is merged into the JSON body of a plain request: for what
            the dialect's own writer never writes.
        is_hint: Whether it changes no answer, so that it may be left out where there is no place.
    """

    name: str
    group: str
    request: ChatRequest | None = None
    without: ChatRequest = HELLO
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_hint: bool = False


def _conversation() -> list[Feature]:
    group = "Conversation"
    shouting = Message(role=Role.USER, parts=(Text("Hi"),), name="alice")
    return [
        Feature("text", group, asking(user(Text("What is 2 + 2?")))),
        Feature("text that is not ASCII", group, asking(user(Text('né 日本 🎉 "\\\n\u2028')))),
        Feature("several texts in a message", group, asking(user(Text("Hi"), Text("there")))),
        Feature("system prompt", group, asking(system(Text("Be brief.")), HI)),
        Feature(
            "several system prompts",
            group,
            asking(system(Text("Be brief.")), system(Text("Be kind.")), HI),
        ),
        Feature(
            "system prompt amid the turns",
            group,
            asking(HI, assistant(Text("Hello!")), system(Text("Be brief.")), HI),
            TURNS,
        ),
        Feature(
            "developer prompt",
            group,
            members={
                "openai_chat": {
                    "messages": [
                        {"role": "developer", "content": "Be brief."},
                        {"role": "user", "content": "Hi"},
                    ]
                },
                "openai_responses": {
                    "input": [
                        {"role": "developer", "content": "Be brief."},
                        {"role": "user", "content": "Hi"},
                    ]
                },
            },
        ),
        Feature("several turns", group, TURNS),
        Feature("two turns of one side", group, asking(HI, user(Text("Hello?")))),
        Feature("the beginning of the answer", group, asking(HI, assistant(Text("I am")))),
        Feature("names of speakers", group, asking(shouting)),
        Feature("refusal of an earlier turn", group, asking(HI, assistant(Refusal("No.")), HI)),
    ]


def _media() -> list[Feature]:
    group = "Pictures, documents and sound"
    picture = Image(data=PNG, media_type="image/png")
    return [
        Feature("picture by URL", group, asking(user(Image(uri="https://x.example/a.png")))),
        Feature("picture by value", group, asking(user(Text("See"), picture, Text("?")))),
        Feature("picture by id", group, asking(user(Image(file_id="file-abc")))),
        Feature(
            "detail of a picture",
            group,
            asking(user(Image(uri="https://x.example/a.png", detail="low"))),
            asking(user(Image(uri="https://x.example/a.png"))),
        ),
        Feature(
            "document by value",
            group,
            asking(user(Text("Sum up"), File(data=PDF, media_type="application/pdf"))),
        ),
        Feature(
            "document by URL",
            group,
            asking(user(File(uri="https://x.example/a.pdf", media_type="application/pdf"))),
        ),
        Feature("document by id", group, asking(user(File(file_id="file-abc")))),
        Feature(
            "name of a document",
            group,
            asking(user(File(data=PDF, media_type="application/pdf", filename="a.pdf"))),
            asking(user(File(data=PDF, media_type="application/pdf"))),
            is_hint=True,
        ),
        Feature(
            "plain text as a document",
            group,
            asking(user(Text("Sum up"), File(data=b"once upon a time", media_type="text/plain"))),
        ),
        Feature(
            "document to be cited",
            group,
            asking(user(File(data=PDF, media_type="application/pdf", is_cited=True))),
            asking(user(File(data=PDF, media_type="application/pdf"))),
        ),
        Feature("sound", group, asking(user(Text("Listen"), Audio(data=WAV, format="wav")))),
    ]


def _tools() -> list[Feature]:
    group = "Tools"
    picture = Image(data=PNG, media_type="image/png")
    shown = ToolResult(tool_call_id="call_1", content=(Text("See"), picture))
    failed = ToolResult(tool_call_id="call_1", content=(Text("Rain"),), is_error=True)
    strict = Tool(name="get_weather", description="", parameters_json=SCHEMA, strict=True)
    lax = Tool(name="get_weather", description="", parameters_json=SCHEMA)
    custom = Tool(name="run", description="Runs a program.", is_custom=True)
    named = ToolChoice(mode=ToolChoiceMode.NAMED, name="get_weather")
    grammar = b'{"type":"grammar","grammar":{"syntax":"regex","definition":"[a-z]+"}}'
    written = Tool(name="run", description="Runs a program.", is_custom=True, format_json=grammar)
    return [
        Feature("tools", group, WITH_TOOLS),
        Feature("tool without parameters", group, asking(tools=(Tool(name="now"),))),
        Feature("strict tool", group, asking(tools=(strict,)), asking(tools=(lax,))),
        Feature("tool call", group, CALLED, WITH_TOOL),
        Feature(
            "text before a tool call",
            group,
            asking(HI, assistant(Text("Let me see."), CALL), told(RAIN), tools=(WEATHER,)),
            CALLED,
        ),
        Feature(
            "parallel tool calls",
            group,
            asking(HI, assistant(CALL, SECOND_CALL), told(RAIN, NOON), tools=(WEATHER, TIME)),
            WITH_TOOLS,
        ),
        Feature(
            "tool call without arguments",
            group,
            asking(
                HI,
                assistant(ToolCall(id="call_1", name="get_weather", arguments_json="{}")),
                told(RAIN),
                tools=(WEATHER,),
            ),
            CALLED,
        ),
        Feature(
            "tool result with a picture",
            group,
            asking(HI, assistant(CALL), told(shown), tools=(WEATHER,)),
            CALLED,
        ),
        Feature(
            "failed tool result",
            group,
            asking(HI, assistant(CALL), told(failed), tools=(WEATHER,)),
            CALLED,
        ),
        Feature(
            "text after a tool result",
            group,
            asking(HI, assistant(CALL), told(RAIN), user(Text("And?")), tools=(WEATHER,)),
            CALLED,
        ),
        _choice("tools as the model likes", ToolChoiceMode.AUTO),
        _choice("forced tool", ToolChoiceMode.REQUIRED),
        _choice("forbidden tools", ToolChoiceMode.NONE),
        _choice("named tool", ToolChoiceMode.NAMED, "get_weather"),
        Feature(
            "one tool call at a time",
            group,
            asking(tools=(WEATHER, TIME), parallel_tool_calls=False),
            WITH_TOOLS,
        ),
        Feature(
            "one call at a time of the only tool",
            group,
            asking(tools=(WEATHER,), parallel_tool_calls=False),
            WITH_TOOL,
            is_hint=True,
        ),
        Feature(
            "one call at a time of a named tool",
            group,
            asking(tools=(WEATHER, TIME), tool_choice=named, parallel_tool_calls=False),
            asking(tools=(WEATHER, TIME), tool_choice=named),
            is_hint=True,
        ),
        Feature("custom tool", group, asking(tools=(custom,))),
        Feature(
            "grammar of a custom tool", group, asking(tools=(written,)), asking(tools=(custom,))
        ),
    ]


def _choice(name: str, mode: ToolChoiceMode, tool: str = "") -> Feature:
    choice = ToolChoice(mode=mode, name=tool)
    return Feature(name, "Tools", asking(tools=(WEATHER, TIME), tool_choice=choice), WITH_TOOLS)


def _thoughts() -> list[Feature]:
    group = "Thoughts"
    forced = ToolChoice(mode=ToolChoiceMode.REQUIRED)
    thought = asking(HI, assistant(Reasoning(text="Hm."), Text("Hello!")), HI)
    return [
        Feature("thoughts shown", group, asking(shows_reasoning=True), is_hint=True),
        Feature(
            "thoughts of an earlier turn",
            group,
            thought,
            asking(HI, assistant(Text("Hello!")), HI),
            is_hint=True,
        ),
        *(
            Feature(f"reasoning effort: {effort}", group, asking(reasoning_effort=effort))
            for effort in ("none", "minimal", "low", "medium", "high")
        ),
        Feature(
            "reasoning effort with a forced tool",
            group,
            asking(tools=(WEATHER,), tool_choice=forced, reasoning_effort="low"),
            asking(tools=(WEATHER,), tool_choice=forced),
            is_hint=True,
        ),
        *(
            Feature(name, group, asking(reasoning_budget_tokens=most))
            for name, most in {**thinking.BUDGETS, "no reasoning": 0}.items()
        ),
    ]


def _form() -> list[Feature]:
    group = "Form of the answer"
    schema = ResponseFormat(kind=ResponseFormatKind.JSON_SCHEMA, schema_json=SCHEMA, name="place")
    strict = ResponseFormat(
        kind=ResponseFormatKind.JSON_SCHEMA, schema_json=SCHEMA, name="place", strict=True
    )
    described = ResponseFormat(
        kind=ResponseFormatKind.JSON_SCHEMA,
        schema_json=SCHEMA,
        name="place",
        description="A place.",
    )
    json_object = ResponseFormat(kind=ResponseFormatKind.JSON_OBJECT)
    return [
        Feature("JSON object", group, asking(response_format=json_object)),
        Feature("JSON schema", group, asking(response_format=schema)),
        Feature(
            "strict JSON schema",
            group,
            asking(response_format=strict),
            asking(response_format=schema),
        ),
        Feature(
            "description of the schema",
            group,
            asking(response_format=described),
            asking(response_format=schema),
        ),
        Feature("stop sequences", group, asking(stop_sequences=("END", "STOP"))),
        Feature("most output tokens", group, asking(max_output_tokens=321)),
        Feature("verbosity", group, asking(verbosity="low")),
        Feature(
            "several answers",
            group,
            members={
                "openai_chat": {"n": 2},
                "gemini_generate": {"generationConfig": {"candidateCount": 2}},
            },
        ),
        Feature(
            "log probabilities",
            group,
            members={
                "openai_chat": {"logprobs": True, "top_logprobs": 2},
                "openai_responses": {
                    "include": ["message.output_text.logprobs"],
                    "top_logprobs": 2,
                },
                "gemini_generate": {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
            },
        ),
        Feature(
            "spoken answer",
            group,
            members={
                "openai_chat": {
                    "modalities": ["text", "audio"],
                    "audio": {"voice": "alloy", "format": "wav"},
                },
                "gemini_generate": {"generationConfig": {"responseModalities": ["AUDIO"]}},
            },
        ),
    ]


def _sampling() -> list[Feature]:
    group = "Sampling"
    return [
        Feature("temperature", group, asking(temperature=0.625)),
        Feature("temperature of zero", group, asking(temperature=0.0)),
        Feature("temperature above one", group, asking(temperature=1.5)),
        Feature("top_p", group, asking(top_p=0.875)),
        Feature("top_k", group, asking(top_k=37)),
        Feature("seed", group, asking(seed=48151623)),
        Feature("frequency penalty", group, asking(frequency_penalty=0.25)),
        Feature("presence penalty", group, asking(presence_penalty=0.75)),
        Feature("logit bias", group, members={"openai_chat": {"logit_bias": {"17": 5}}}),
    ]


def _service() -> list[Feature]:
    group = "Users, metadata and caches"
    hint = CachePoint(ttl="5m")
    long_hint = CachePoint(ttl="1h")
    return [
        Feature("user", group, asking(user="user-17"), is_hint=True),
        Feature("metadata", group, asking(metadata={"team": "blue"}), is_hint=True),
        Feature(
            "what to cache of the messages", group, asking(user(Text("Hi"), hint)), is_hint=True
        ),
        Feature(
            "what to cache of the system prompt",
            group,
            asking(system(Text("Be brief."), long_hint), HI),
            asking(system(Text("Be brief.")), HI),
            is_hint=True,
        ),
        Feature(
            "what to cache of the tools",
            group,
            asking(tools=(Tool(name="now", cache_point=hint),)),
            asking(tools=(Tool(name="now"),)),
            is_hint=True,
        ),
        Feature(
            "key of the prompt's cache",
            group,
            members={
                "openai_chat": {"prompt_cache_key": "k-17"},
                "openai_responses": {"prompt_cache_key": "k-17"},
            },
            is_hint=True,
        ),
        Feature(
            "something that nobody knows",
            group,
            members={
                name: {"tomorrow": {"deep": [1.0]}}
                for name in (
                    "openai_chat",
                    "openai_responses",
                    "anthropic_messages",
                    "gemini_generate",
                )
            },
        ),
    ]


FEATURES: tuple[Feature, ...] = (
    *_conversation(),
    *_media(),
    *_tools(),
    *_thoughts(),
    *_form(),
    *_sampling(),
    *_service(),
)
