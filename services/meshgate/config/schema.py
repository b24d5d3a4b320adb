"""The schema of `meshgate.yaml`, for what this release can do."""

from typing import Any

from pydantic import Field

from meshgate.config.fields import Label, Name, Section
from meshgate.config.guardrail_schema import GuardrailSection
from meshgate.config.key_schema import AuthSection, KeySection
from meshgate.config.limit_schema import AllLimitsSection
from meshgate.config.model_schema import ModelSection
from meshgate.config.provider_schema import ProviderSection


class Configuration(Section):
    """The configuration of a gateway."""

    providers: dict[Name, ProviderSection] = Field(
        {}, description="The upstreams, by a name of your choice."
    )
    models: dict[Label, ModelSection] = Field({}, description="The names that clients ask for.")
    keys: tuple[KeySection, ...] = Field(
        (), description="Keys that are kept in the configuration, beside the admin key."
    )
    limits: AllLimitsSection = Field(
        default_factory=lambda: AllLimitsSection.model_validate({}),
        description="Limits for each key, for all traffic and for tags.",
    )
    guardrails: dict[Name, GuardrailSection] = Field(
        {}, description="What is looked for in texts, by the name of a policy; models refer to it."
    )
    auth: AuthSection = Field(
        default_factory=lambda: AuthSection.model_validate({}),
        description="How callers are recognized.",
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors and checks outside the gateway."""
    schema = Configuration.model_json_schema()
    schema["properties"]["include"] = {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "description": "Other files to read, as names or patterns relative to this file. "
        "A name that is defined twice is an error.",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
