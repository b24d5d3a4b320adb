"""`models`, `status` and `chat`, against a gateway that answers as it is told."""

import json

import pytest

CHAT = "/v1/chat/completions"
STATUS = "/meshgate/v1/status"
MODELS = {"object": "list", "data": [{"id": "demo", "object": "model", "owned_by": "demo"}]}


def chunk(text: str) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n"


def status_of(health: str = "SERVICE_HEALTH_SERVING", *, required: bool = True) -> dict:
    target = {"provider": "openai", "model": "gpt-4o", "dialect": "DIALECT_UNSPECIFIED"}
    return {
        "version": "0.1.0",
        "config_revision": "abc",
        "services": [
            {
                "service": "auth",
                "health": health,
                "serving_count": 1,
                "instance_count": 2,
                "required": required,
                "instances": [
                    {
                        "address": "10.0.0.1:9000",
                        "serving": True,
                        "version": "0.1.0",
                        "degraded_reasons": ["the database does not answer"],
                    },
                    {
                        "address": "10.0.0.2:9000",
                        "serving": False,
                        "version": "",
                        "degraded_reasons": [],
                    },
                ],
            }
        ],
        "targets": [
            {
                "target": target,
                "health": "TARGET_HEALTH_FAILING",
                "last_failure": "FAILURE_KIND_RATE_LIMITED",
            }
        ],
    }


def test_models_are_listed_one_a_line(run, gateway, admin_key):
    gateway.answer("/v1/models", MODELS)

    result = run("models")

    assert (result.exit_code, result.stdout) == (0, "demo\n")
    assert gateway.requests == [("/v1/models", f"Bearer {admin_key}", b"")]


def test_models_are_listed_as_json(run, gateway, admin_key):
    gateway.answer("/v1/models", MODELS)

    result = run("models", "--json")

    assert json.loads(result.stdout) == MODELS["data"]


def test_a_key_of_ones_own_comes_before_the_admin_key(run, gateway, admin_key, monkeypatch):
    gateway.answer("/v1/models", MODELS)
    monkeypatch.setenv("MESHGATE_KEY", "mg-mine")

    run("models")

    assert gateway.requests[0][1] == "Bearer mg-mine"


def test_status_is_asked_with_the_admin_key_alone(run, gateway, monkeypatch):
    gateway.answer(STATUS, status_of())
    monkeypatch.setenv("MESHGATE_KEY", "mg-mine")
    monkeypatch.setenv("MESHGATE_ADMIN_KEY", "mg-admin-environment")

    run("status")

    assert gateway.requests[0][1] == "Bearer mg-admin-environment"


def test_status_is_a_table_of_services_and_targets(run, gateway, admin_key):
    gateway.answer(STATUS, status_of("SERVICE_HEALTH_DEGRADED"))

    result = run("status")

    assert result.exit_code == 0
    assert result.stdout == (
        f"{gateway.url}  version 0.1.0  configuration abc\n"
        "\n"
        "SERVICE  HEALTH    INSTANCES  VERSION  DEGRADED\n"
        "auth     degraded  1 of 2     0.1.0    the database does not answer\n"
        "\n"
        "PROVIDER  MODEL   HEALTH   LAST FAILURE\n"
        "openai    gpt-4o  failing  rate limited\n"
    )


def test_status_fails_when_a_service_does_not_serve(run, gateway, admin_key):
    gateway.answer(STATUS, status_of("SERVICE_HEALTH_NOT_SERVING"))

    result = run("status", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["services"][0]["health"] == "SERVICE_HEALTH_NOT_SERVING"


def test_status_does_not_fail_for_a_service_that_requests_do_without(run, gateway, admin_key):
    gateway.answer(STATUS, status_of("SERVICE_HEALTH_NOT_SERVING", required=False))

    result = run("status")

    assert result.exit_code == 0
    assert "not serving" in result.stdout


def test_a_refused_key_says_what_to_do(run, gateway):
    gateway.answer("/v1/models", {"error": {"message": "there is no such key."}}, status=401)

    result = run("models")

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: there is no such key: set MESHGATE_KEY; or set MESHGATE_ADMIN_KEY, or name the "
        "gateway's --data-dir\n"
    )


def test_an_error_of_the_typed_api_is_told_in_its_words(run, gateway, admin_key):
    gateway.answer(STATUS, {"code": 14, "message": "auth is not serving"}, status=503)

    result = run("status")

    assert (result.exit_code, result.stderr) == (1, "Error: auth is not serving (HTTP 503)\n")


@pytest.mark.parametrize("command", [["models"], ["status"], ["chat", "demo", "Hello!"]])
def test_where_no_gateway_answers_one_sentence_says_how_to_start_one(run, monkeypatch, command):
    monkeypatch.setenv("MESHGATE_URL", "http://127.0.0.1:1")

    result = run(*command)

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: no gateway answers at http://127.0.0.1:1: start one with `meshgate up`, or set "
        "MESHGATE_URL\n"
    )


def test_an_address_that_is_none_is_refused(run, monkeypatch):
    monkeypatch.setenv("MESHGATE_URL", "localhost:8080")

    result = run("models")

    assert result.exit_code == 1
    assert "MESHGATE_URL is 'localhost:8080'" in result.stderr


@pytest.mark.parametrize("content", ["<html>", "[]", "{}", "17"])
def test_what_is_no_gateway_is_not_taken_for_one(run, gateway, admin_key, content):
    gateway.stream("/v1/models", content)

    result = run("models")

    assert result.exit_code == 1
    assert "answers what no gateway does" in result.stderr


def test_an_answer_is_printed_as_it_comes(run, gateway, admin_key):
    end = 'data: {"choices":[{"delta":{}}]}\n\ndata: {"choices":[],"usage":{}}\n\n'
    gateway.stream(CHAT, chunk("Hel") + chunk("lo!") + end + "data: [DONE]\n\n")

    result = run("chat", "demo", "Hi")

    assert (result.exit_code, result.stdout) == (0, "Hello!\n")
    assert json.loads(gateway.requests[0][2]) == {
        "model": "demo",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }


def test_a_prompt_is_read_from_standard_input(run, gateway, admin_key):
    gateway.stream(CHAT, chunk("Hello!") + "data: [DONE]\n\n")

    run("chat", "demo", standard_input="two\nlines\n")

    [message] = json.loads(gateway.requests[0][2])["messages"]
    assert message["content"] == "two\nlines"


def test_nothing_to_ask_is_a_usage_error(run):
    result = run("chat", "demo", standard_input="")

    assert result.exit_code == 2
    assert "there is nothing to ask" in result.stderr


def test_an_error_in_the_stream_fails_after_what_was_said(run, gateway, admin_key):
    error = 'data: {"error": {"message": "the upstream broke"}}\n\n'
    gateway.stream(CHAT, chunk("Hel") + error)

    result = run("chat", "demo", "Hi")

    assert (result.exit_code, result.stdout) == (1, "Hel\n")
    assert result.stderr == "Error: the upstream broke\n"


def test_an_answer_that_is_cut_off_fails(run, gateway, admin_key):
    gateway.stream(CHAT, chunk("Hel"))

    result = run("chat", "demo", "Hi")

    assert (result.exit_code, result.stderr) == (1, "Error: the answer was cut off: ask again\n")


def test_an_unknown_model_is_told_in_the_gateways_words(run, gateway, admin_key):
    gateway.answer(CHAT, {"error": {"message": "no model is called nope"}}, status=404)

    result = run("chat", "nope", "Hi")

    assert (result.exit_code, result.stderr) == (1, "Error: no model is called nope (HTTP 404)\n")
