"""A process of the mesh with a scripted provider in it: `python -m runtime.hosted`."""

import asyncio
import os

import uvloop
from runtime.hosting import assembling
from runtime.scripted import ScriptedProvider

from meshgate.runtime.environment import Environment
from meshgate.runtime.server import serve
from meshgate.runtime.settings import ServerSettings
from meshgate.runtime.telemetry import configure_logs

if __name__ == "__main__":
    env = Environment(os.environ)
    how = ServerSettings.read(env)
    configure_logs("provider", how.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve({"provider": assembling(ScriptedProvider())}, env, how))
