"""Envoy's own part in traces, as it stands in its configuration.

Envoy takes part where the collector can be reached in plain HTTP and asks for no headers, such as
the one of the same machine or network: whoever faces the world holds no credentials. Otherwise a
client's `traceparent` is only passed on, and traces begin in routing.
"""

import ipaddress
import json
from urllib.parse import urlsplit

from meshgate.edge.replies import Json
from meshgate.runtime.tracing_settings import Sampling, TracingSettings

_NOTHING = "# none"
_TYPES = "type.googleapis.com/envoy"
_SAMPLERS = "envoy.tracers.opentelemetry.samplers"
_SAMPLER_TYPES = f"{_TYPES}.extensions.tracers.opentelemetry.samplers.v3"
_MILLION = 1_000_000


def connection_manager(traces: TracingSettings | None) -> str:
    """The field `tracing` of the connection manager, or a comment."""
    if traces is None or not _takes_part(traces):
        return _NOTHING
    opentelemetry = {
        "@type": f"{_TYPES}.config.trace.v3.OpenTelemetryConfig",
        "http_service": {
            "http_uri": {"uri": traces.endpoint, "cluster": "collector", "timeout": "2s"}
        },
        "service_name": f"{traces.name}-edge",
        "sampler": _sampler(traces.sampling),
    }
    tracing: Json = {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": opentelemetry},
        # The span of the call of routing, for that is what routing's is a child of.
        "spawn_upstream_span": True,
        # Of a URL nothing: a query may hold a credential. The path is told without one.
        "max_path_tag_length": 1,
        "custom_tags": [{"tag": "url.path", "value": "%PATH(NQ:ORIG_OR_PATH):512%"}],
    }
    return f"tracing: {json.dumps(tracing)}"


def cluster(traces: TracingSettings | None) -> str:
    """The cluster of the collector, or a comment."""
    if traces is None or not _takes_part(traces):
        return _NOTHING
    url = urlsplit(traces.endpoint)
    host = url.hostname or ""
    address = {"socket_address": {"address": host, "port_value": url.port or 80}}
    collector: Json = {
        "name": "collector",
        "type": "STATIC" if _is_ip(host) else "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "collector",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    return f"- {json.dumps(collector)}"


def _takes_part(traces: TracingSettings) -> bool:
    return traces.endpoint.startswith("http://") and not traces.needs_headers


def _sampler(sampling: Sampling) -> Json:
    """The same decision as `runtime.recording` makes of it."""
    millionths = round(sampling.ratio * _MILLION)
    root: Json = {
        "name": f"{_SAMPLERS}.trace_id_ratio_based",
        "typed_config": {
            "@type": f"{_SAMPLER_TYPES}.TraceIdRatioBasedSamplerConfig",
            "sampling_percentage": {"numerator": millionths, "denominator": "MILLION"},
        },
    }
    if not sampling.follows_parent:
        return root
    return {
        "name": f"{_SAMPLERS}.parent_based",
        "typed_config": {
            "@type": f"{_SAMPLER_TYPES}.ParentBasedSamplerConfig",
            "wrapped_sampler": root,
        },
    }


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
