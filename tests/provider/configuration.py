"""Snapshots and secrets for tests."""

from meshgate.config.secrets import SecretReference, SecretUnresolvedError
from meshgate.config.snapshot import DemoProvider, HttpProvider, Model, Snapshot, Target

KEY = SecretReference("env", "UPSTREAM_KEY")


class Secrets:
    """Knows the secrets that it is given by name."""

    def __init__(self, **values):
        self.values = values

    def resolve(self, reference):
        try:
            return self.values[reference.name]
        except KeyError:
            raise SecretUnresolvedError(f"{reference.name} is not set") from None


def http(base_url="http://127.0.0.1:1/v1", name="openai", **options):
    return HttpProvider(name, "openai", base_url, **options)


def snapshot(*providers, targets=(), revision="r1"):
    model = Model("public-name", tuple(Target(*target) for target in targets))
    named = {provider.name: provider for provider in providers or [DemoProvider("demo")]}
    return Snapshot(revision, named, {"public-name": model} if targets else {})
