"""Where traces go and which, by the variables that OpenTelemetry has for it."""

from dataclasses import dataclass

from meshgate.runtime.environment import Environment, SettingError

_DEFAULT_SAMPLER = "parentbased_traceidratio"
_DEFAULT_RATIO = 0.1
_SAMPLERS = (
    "always_on",
    "always_off",
    "parentbased_always_on",
    "parentbased_always_off",
    _DEFAULT_SAMPLER,
)
_EXPORTERS = ("otlp", "none")
_PROTOCOLS = ("http/protobuf",)


@dataclass(frozen=True)
class Sampling:
    """Which requests are recorded.

    Attributes:
        follows_parent: Whether the caller's own decision counts, where there is one.
        ratio: How many of the others, from 0 to 1.
    """

    follows_parent: bool
    ratio: float

    @classmethod
    def read(cls, env: Environment) -> "Sampling":
        name = env.choice("OTEL_TRACES_SAMPLER", _SAMPLERS, _DEFAULT_SAMPLER)
        if name.endswith("traceidratio"):
            ratio = _ratio(env)
        else:
            ratio = 1.0 if name.endswith("always_on") else 0.0
        return cls(name.startswith("parentbased_"), ratio)

    @property
    def is_off(self) -> bool:
        """Whether nothing is ever recorded."""
        return not self.follows_parent and not self.ratio


@dataclass(frozen=True)
class TracingSettings:
    """Where traces go and which.

    Attributes:
        endpoint: The URL that spans are posted to, as OTLP over HTTP.
        sampling: Which requests are recorded.
        name: What the names of services begin with.
        needs_headers: Whether the collector asks for headers, such as a credential.
    """

    endpoint: str
    sampling: Sampling
    name: str = "meshgate"
    needs_headers: bool = False

    @classmethod
    def read(cls, env: Environment) -> "TracingSettings | None":
        """What the environment says; None where no traces are wanted."""
        endpoint = _endpoint(env)
        if endpoint is None or env.flag("OTEL_SDK_DISABLED", default=False):
            return None
        if env.choice("OTEL_TRACES_EXPORTER", _EXPORTERS, "otlp") == "none":
            return None
        for name in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
            env.choice(name, _PROTOCOLS, _PROTOCOLS[0])
        sampling = Sampling.read(env)
        if sampling.is_off:
            return None
        headers = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
        return cls(
            endpoint,
            sampling,
            env.text("OTEL_SERVICE_NAME", cls.name),
            any(env.optional_text(name) for name in headers),
        )


def _endpoint(env: Environment) -> str | None:
    exact = env.optional_text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if exact is not None:
        return _checked("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", exact)
    root = env.optional_text("OTEL_EXPORTER_OTLP_ENDPOINT")
    if root is None:
        return None
    return _checked("OTEL_EXPORTER_OTLP_ENDPOINT", root).rstrip("/") + "/v1/traces"


def _checked(name: str, url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise SettingError(f"{name} must be a URL such as http://collector:4318")
    return url


def _ratio(env: Environment) -> float:
    text = env.optional_text("OTEL_TRACES_SAMPLER_ARG")
    if text is None:
        return _DEFAULT_RATIO
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise SettingError(f"OTEL_TRACES_SAMPLER_ARG is {text!r}; it must be from 0 to 1")
    return ratio
