"""`meshgate`: the command line."""

import importlib

import click

from meshgate.cli.examples import examples
from meshgate.runtime.memory import loading

_COMMANDS = {
    "up": ("meshgate.cli.up", "up_command"),
    "serve": ("meshgate.cli.serving", "serve_command"),
    "migrate": ("meshgate.cli.migrate", "migrate_command"),
    "keys": ("meshgate.cli.keys", "keys_commands"),
    "teams": ("meshgate.cli.teams", "teams_commands"),
    "users": ("meshgate.cli.users", "users_commands"),
    "organizations": ("meshgate.cli.organizations", "organizations_commands"),
    "balances": ("meshgate.cli.balances", "balances_commands"),
    "usage": ("meshgate.cli.usage", "usage_commands"),
    "chat": ("meshgate.cli.chat", "chat_command"),
    "models": ("meshgate.cli.models", "models_command"),
    "prices": ("meshgate.cli.prices", "prices_command"),
    "health": ("meshgate.cli.health", "health_command"),
    "status": ("meshgate.cli.status", "status_command"),
    "config": ("meshgate.cli.configuration", "config_commands"),
}


class _Commands(click.Group):
    """Commands whose modules are loaded when they are used: a service needs no HTTP client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        with loading():
            command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("meshgate up", 'meshgate chat demo "Hello!"'),
)
@click.version_option(package_name="meshgate", prog_name="meshgate")
def main() -> None:
    """An AI gateway: one front door between every application and every language model.

    Commands that talk to a gateway find it by MESHGATE_URL (default http://127.0.0.1:8080) and the
    admin key by MESHGATE_ADMIN_KEY, else in the data directory.
    """


if __name__ == "__main__":
    main()
