"""The encodings that are shipped are OpenAI's own, and nothing is fetched for them."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiktoken_ext import openai_public

from meshgate.tokens import encoding
from meshgate.tokens.encoding import EncodingName

# As published with tiktoken.
SHA256 = {
    EncodingName.CL100K: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    EncodingName.O200K: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
PUBLISHED_AT = "https://openaipublic.blob.core.windows.net/encodings"

LOAD_WITHOUT_A_NETWORK = """
import os, sys

def refuse(event, args):
    if event.startswith("socket.") or event in ("os.putenv", "os.mkdir"):
        raise RuntimeError(event)

sys.addaudithook(refuse)
before = dict(os.environ)
from meshgate.tokens import encoding
for name in encoding.EncodingName:
    print(len(encoding.load(name).encode_ordinary("hello world")))
assert before == dict(os.environ)
"""

EVERY = pytest.mark.parametrize("name", EncodingName)


@EVERY
def test_a_file_is_the_one_that_openai_published(name: EncodingName):
    content = (encoding.DIRECTORY / f"{name.value}.tiktoken").read_bytes()

    assert hashlib.sha256(content).hexdigest() == SHA256[name]


@EVERY
def test_an_encoding_is_the_one_that_tiktoken_would_make(
    name: EncodingName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Under the name that tiktoken gives it in its cache, or it would be fetched.
    address = f"{PUBLISHED_AT}/{name.value}.tiktoken".encode()
    cached = tmp_path / hashlib.sha1(address).hexdigest()
    shutil.copy(encoding.DIRECTORY / f"{name.value}.tiktoken", cached)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    theirs = openai_public.ENCODING_CONSTRUCTORS[name.value]()

    ours = encoding.load(name)
    assert ours.name == theirs["name"]
    assert ours._pat_str == theirs["pat_str"]
    assert ours._special_tokens == theirs["special_tokens"]
    assert ours._mergeable_ranks == theirs["mergeable_ranks"]


def test_encodings_are_loaded_without_a_network_and_leave_the_environment_alone():
    command = [sys.executable, "-c", LOAD_WITHOUT_A_NETWORK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["2", "2"], done.stderr


@EVERY
def test_an_encoding_is_built_once(name: EncodingName):
    assert encoding.load(name) is encoding.load(name)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4",
        "gpt-4-0613",
        "gpt-4-32k",
        "gpt-4-turbo-2024-04-09",
        "gpt-3.5-turbo",
        "gpt-3.5-turbo-16k-0613",
        "gpt-35-turbo",
        "openai/gpt-4",
        "ft:gpt-3.5-turbo-0613:acme::abc123",
        "ft:gpt-4:acme",
        "text-embedding-ada-002",
        "text-embedding-3-large",
        "davinci-002",
    ],
)
def test_openais_older_models_are_counted_with_cl100k(model: str):
    assert encoding.of_model(model) is EncodingName.CL100K


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o",
        "gpt-4o-mini-2024-07-18",
        "gpt-4.1-mini",
        "gpt-4.5-preview",
        "chatgpt-4o-latest",
        "gpt-5.1",
        "gpt-oss-120b",
        "o3-mini",
        "ft:gpt-4o-mini:acme",
        "claude-sonnet-4-5",
        "gemini-2.5-pro",
        "text-embedding-004",
        "qwen3",
        "my-gpt-4",
        "",
    ],
)
def test_newer_and_unknown_models_are_counted_with_o200k(model: str):
    assert encoding.of_model(model) is EncodingName.O200K
