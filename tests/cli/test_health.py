"""`meshgate health`, asked of a real server."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from meshgate.cli.main import main


class OneAnswer(health_pb2_grpc.HealthServicer):
    def __init__(self, status):
        self.status = status

    def Check(self, request, context):
        return health_pb2.HealthCheckResponse(status=self.status)


@pytest.fixture
def process():
    """A process whose health can be set, and the port at which it listens."""
    answer = OneAnswer(health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    health_pb2_grpc.add_HealthServicer_to_server(answer, server)
    answer.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield answer
    server.stop(None).wait()


def health(*arguments, listen=None):
    return CliRunner().invoke(main, ["health", *arguments], env={"MESHGATE_LISTEN": listen})


def test_a_process_that_takes_calls_is_well(process):
    result = health(f"127.0.0.1:{process.port}")

    assert (result.exit_code, result.output) == (0, "SERVING\n")


def test_a_process_that_drains_is_not(process):
    process.status = health_pb2.HealthCheckResponse.NOT_SERVING

    result = health(f"127.0.0.1:{process.port}")

    assert result.exit_code == 1
    assert f"127.0.0.1:{process.port} takes no calls" in result.stderr


def test_by_default_the_process_that_listens_here_is_asked(process):
    result = health(listen=f"0.0.0.0:{process.port}")

    assert result.exit_code == 0


def test_json_says_what_was_asked_and_what_it_answered(process):
    process.status = health_pb2.HealthCheckResponse.NOT_SERVING

    result = health(f"127.0.0.1:{process.port}", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "address": f"127.0.0.1:{process.port}",
        "health": "NOT_SERVING",
    }


def test_where_nobody_answers_one_sentence_says_so():
    result = health("127.0.0.1:1")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no service answers at 127.0.0.1:1 (UNAVAILABLE)")


def test_a_place_without_a_port_is_a_mistake_of_the_caller():
    result = health("routing")

    assert result.exit_code == 2
    assert "HOST:PORT" in result.stderr
