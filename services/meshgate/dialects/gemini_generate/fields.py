"""The members of a generateContent request, by the names that the neutral form has for them."""

_CONFIG = "generationConfig"
_THINKING = f"{_CONFIG}.thinkingConfig"

OWN_NAMES: dict[str, str] = {
    "messages[]": "contents",  # the system instruction is one there, and results of tools are some
    "messages[].parts[]": "contents.parts",
    "tools[]": "tools.functionDeclarations",
    "tool_choice": "toolConfig.functionCallingConfig",
    "max_output_tokens": f"{_CONFIG}.maxOutputTokens",
    "temperature": f"{_CONFIG}.temperature",
    "top_p": f"{_CONFIG}.topP",
    "top_k": f"{_CONFIG}.topK",
    "stop_sequences": f"{_CONFIG}.stopSequences",
    "seed": f"{_CONFIG}.seed",
    "presence_penalty": f"{_CONFIG}.presencePenalty",
    "frequency_penalty": f"{_CONFIG}.frequencyPenalty",
    "reasoning_effort": f"{_THINKING}.thinkingLevel",
    "reasoning_budget_tokens": f"{_THINKING}.thinkingBudget",
    "shows_reasoning": f"{_THINKING}.includeThoughts",
    "response_format": f"{_CONFIG}.responseMimeType",
    "response_format.type": f"{_CONFIG}.responseMimeType",
    "metadata": "labels",
}
"""What its callers call what the neutral form calls otherwise."""
