"""A gateway that serves pictures, sounds, judgements and rankings, and what tests send to it."""

from contextlib import suppress
from pathlib import Path

import httpx
from gateway_process import Gateway

MODELS = """
  pictures:
    targets: [{provider: main, model: gpt-image-1-mini, prices: {input: 2, input_image: 2.5, output: 8}}]
    retries: {attempts: 1}
  drawings:
    targets:
      - provider: main
        model: dall-e-3
        prices:
          input: 0
          output: 0
          per_image: 0.04
          tiers: {hd-1024x1792: {input: 0, output: 0, per_image: 0.12}}
    retries: {attempts: 1}
  ears:
    targets: [{provider: main, model: whisper-1, prices: {input: 0, output: 0, per_audio_second: 0.0001}}]
    retries: {attempts: 2, backoff: {initial: 10ms, max: 50ms}}
  token-ears:
    targets: [{provider: main, model: gpt-4o-transcribe, prices: {input: 2.5, input_audio: 6, output: 10}}]
    retries: {attempts: 1}
  voice:
    targets: [{provider: main, model: tts-1, prices: {input: 0, output: 0, per_character: 0.000015}}]
    retries: {attempts: 1}
  token-voice:
    targets: [{provider: main, model: gpt-4o-mini-tts, prices: {input: 0.6, output: 12}}]
    retries: {attempts: 1}
  judge:
    targets: [{provider: main, model: omni-moderation-latest, prices: {input: 0, output: 0}}]
  omni-moderation-latest:
    targets: [{provider: main, prices: {input: 0, output: 0}}]
  ranker:
    targets: [{provider: main, model: rerank-v3.5, prices: {input: 0, output: 0, per_search: 0.002}}]
    retries: {attempts: 1}
  guarded-ears:
    targets: [{provider: main, model: gpt-4o-transcribe}]
    retries: {attempts: 1}
    guardrails: [careful]
  guarded-pictures:
    targets: [{provider: main, model: dall-e-3}]
    retries: {attempts: 1}
    guardrails: [careful]
"""
SOUND = b"RIFF" + bytes(range(256)) * 400


def cost_usd(response: httpx.Response) -> float:
    """What an answer says that it has cost."""
    return float(response.headers["x-meshgate-cost-usd"])


async def transcribed(http: httpx.AsyncClient, **fields: str) -> httpx.Response:
    """An upload, and what comes of it."""
    return await http.post(
        "/v1/audio/transcriptions",
        data={"model": "ears", **fields},
        files={"file": ("a.mp3", SOUND)},
    )


def nameless_files(gateway: Gateway) -> int:
    """How many files without a name of some size its services hold open."""
    pids = [
        pid
        for pids in gateway.ready["pids"].values()
        for pid in ([pids] if isinstance(pids, int) else pids)
    ]
    count = 0
    for pid in set(pids):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                held = str(link.readlink())
                count += "(deleted)" in held and "/#" in held
    return count
