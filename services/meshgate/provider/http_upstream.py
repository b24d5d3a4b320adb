"""Attempts at upstreams that are reached over HTTP, whatever API they have."""

import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace

import msgspec

from meshgate.dialects.answers import AnswerStream, MalformedAnswerError
from meshgate.dialects.openai_api.errors import read_error
from meshgate.dialects.translator import CallerAnswer, UpstreamRequest
from meshgate.dialects.uploaded_form import multipart
from meshgate.provider import failures, upload
from meshgate.provider.api import Api, Endpoint
from meshgate.provider.attempt import (
    Answer,
    Attempt,
    Headers,
    Step,
    StreamDone,
    StreamHead,
    Timings,
)
from meshgate.provider.failures import UPSTREAM_ERRORS, AttemptFailedError, Failure
from meshgate.provider.phases import PhaseClock
from meshgate.provider.retry_after import bounded_seconds, read_retry_after
from meshgate.provider.upstream import (
    MIB,
    PLAIN_ANSWER_LIMIT_BYTES,
    StreamedBody,
    UpstreamClient,
    UpstreamResponse,
)
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError
from meshgate.runtime.trace_context import is_trace_context

_GOOD = range(200, 300)
# Where the caller's body says whether the answer is to be streamed, it must say so.
_SAY_STREAM = {"openai_chat", "openai_completions", "openai_responses", "anthropic_messages"}
_ERROR_LIMIT_BYTES = MIB
_ERROR_TYPE_LIMIT = 256
_SHOWN_VALUE = re.compile(r"[\x20-\x7e]{1,256}")
_PASSED_VALUE = re.compile(r"[\x20-\x7e]{1,1024}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
# After the last event an upstream has nothing more to say but the end of the body.
_END_SECONDS = 0.1
_END_READS = 4


class HttpUpstream:
    """Runs attempts at one upstream."""

    def __init__(self, api: Api, client: UpstreamClient) -> None:
        self._api = api
        self._client = client
        self._plain_headers = (*api.headers, ("accept", "application/json"))

    async def answer(self, attempt: Attempt) -> Answer:
        endpoint = self._endpoint(attempt)
        request = _upstream_request(endpoint, attempt, stream=False)
        if request.head.stream:
            raise InvalidRequestError("this request asks for a stream", field="stream")
        clock = PhaseClock(attempt.timeouts)
        url = endpoint.address(attempt.model, stream=False)
        headers = _with_context(_with_passed(self._plain_headers, endpoint, attempt), attempt)
        try:
            headers, body = await self._sent(url, headers, request, attempt, clock)
            async with self._client.post(url, headers, body, clock) as response:
                if response.status not in _GOOD:
                    raise self._failed(await _refusal(response))
                answered = await response.read(PLAIN_ANSWER_LIMIT_BYTES)
                shown = self._shown(response, endpoint)
            answer = self._understood(endpoint, request, answered)
        except UPSTREAM_ERRORS as error:
            raise self._failed(failures.of_error(error)) from None
        finally:
            clock.close()
        return Answer(
            body=answer.body,
            served_model=answer.glance.served_model,
            usage=answer.glance.usage,
            finish_reason=answer.glance.finish_reason,
            timings=_timings(clock),
            headers=shown,
        )

    async def stream(self, attempt: Attempt) -> AsyncGenerator[Step, None]:
        endpoint = self._endpoint(attempt)
        request = _upstream_request(endpoint, attempt, stream=True)
        answer = endpoint.translator.stream(
            created=int(time.time()), include_usage=request.head.include_usage
        )
        _check_streams(attempt, request)
        clock = PhaseClock(attempt.timeouts)
        url = endpoint.address(attempt.model, stream=True)
        own = self._stream_headers(endpoint)
        headers = _with_context(_with_passed(own, endpoint, attempt), attempt)
        try:
            headers, body = await self._sent(url, headers, request, attempt, clock)
            async with self._client.post(url, headers, body, clock) as response:
                await self._check_begin(response, endpoint)
                opened = False
                async with aclosing(response.chunks()) as chunks:
                    async for piece in _pieces(chunks, answer):
                        if not opened and answer.started and answer.error is None:
                            opened = True
                            yield StreamHead(self._shown(response, endpoint))
                        if opened and piece:
                            yield piece
                    if answer.error is not None:
                        raise self._failed(failures.of_event(answer.error, answer.usage))
                    timings = _timings(clock)
                    await _read_end(chunks, clock)
            yield _done(answer, timings)
        except UPSTREAM_ERRORS as error:
            raise self._failed(failures.of_error(error, answer.usage)) from None
        finally:
            clock.close()

    async def close(self) -> None:
        await self._client.close()
        if self._api.credentials is not None:
            await self._api.credentials.close()

    async def _sent(
        self,
        url: str,
        headers: Headers,
        request: UpstreamRequest,
        attempt: Attempt,
        clock: PhaseClock,
    ) -> tuple[Headers, bytes | StreamedBody]:
        """What goes to the upstream: a body, or a form that its files are written into as they come.

        Raises:
            AttemptFailedError: There is nothing to prove the request with.
        """
        body: bytes | StreamedBody = request.body
        if attempt.upload is not None:
            form = multipart(request.body)
            body = upload.streamed(form, attempt.upload)
            others = (header for header in headers if header[0] != "content-type")
            headers = (*others, ("content-type", form.content_type))
        if self._api.credentials is not None:
            # Nobody who signs the body takes forms.
            signed = body if isinstance(body, bytes) else b""
            with clock:
                headers = await self._api.credentials.headers(url, headers, signed)
        return headers, body

    def _stream_headers(self, endpoint: Endpoint) -> Headers:
        # A compressed stream may be held back until a block of it is full.
        accepted = "*/*" if endpoint.media_types else endpoint.stream_media_type
        own = (("accept", accepted), ("accept-encoding", "identity"))
        return (*self._api.headers, *own)

    def _endpoint(self, attempt: Attempt) -> Endpoint:
        endpoint = self._api.endpoints.get(attempt.dialect)
        if endpoint is None:
            raise UnsupportedError(
                f"this provider cannot answer requests in {attempt.dialect}",
                dialect=attempt.dialect,
            )
        return endpoint.for_model(attempt.model)

    def _understood(
        self, endpoint: Endpoint, request: UpstreamRequest, body: bytes
    ) -> CallerAnswer:
        try:
            if request.read_answer is not None:
                return request.read_answer(body)
            return endpoint.translator.answer(body, created=int(time.time()))
        except MalformedAnswerError:
            raise self._failed(failures.of_good_status(body)) from None

    async def _check_begin(self, response: UpstreamResponse, endpoint: Endpoint) -> None:
        """Look at the head of what should be a stream.

        Raises:
            AttemptFailedError: It is none.
        """
        if response.status not in _GOOD:
            raise self._failed(await _refusal(response))
        media_type = response.header("content-type")
        wanted = (endpoint.stream_media_type, *endpoint.media_types)
        if media_type and not media_type.lower().startswith(wanted):
            raise self._failed(failures.of_good_status(await _error_body(response)))

    def _shown(self, response: UpstreamResponse, endpoint: Endpoint) -> Headers:
        values = [(shown, response.header(name)) for name, shown in self._api.shown_headers]
        if endpoint.media_types:
            values.append(("content-type", response.header("content-type")))
        return tuple(header for header in values if header[1] and _SHOWN_VALUE.fullmatch(header[1]))

    def _failed(self, failure: Failure) -> AttemptFailedError:
        """The failure without what clients must not see, should the upstream have repeated it."""
        message, code = failure.message, failure.code
        for hidden in self._api.hidden:
            message, code = message.replace(hidden, "***"), code.replace(hidden, "***")
        return AttemptFailedError(replace(failure, message=message, code=code))


def _upstream_request(endpoint: Endpoint, attempt: Attempt, *, stream: bool) -> UpstreamRequest:
    return endpoint.translator.request(
        attempt.body, attempt.model, stream=stream, output_cap=attempt.output_cap
    )


async def _pieces(
    chunks: AsyncGenerator[bytes, None], answer: AnswerStream
) -> AsyncGenerator[bytes, None]:
    """What each read of the upstream brings for the caller, up to the end of the answer."""
    async for chunk in chunks:
        piece = answer.feed(chunk)
        yield piece
        if answer.done or answer.error is not None:
            return
    yield answer.close()


async def _read_end(chunks: AsyncGenerator[bytes, None], clock: PhaseClock) -> None:
    """Read the end of the body: only then the connection can be used again."""
    clock.between(_END_SECONDS)
    with suppress(*UPSTREAM_ERRORS):
        for _ in range(_END_READS):
            if await anext(chunks, None) is None:
                return


async def _refusal(response: UpstreamResponse) -> Failure:
    retry_after = read_retry_after(
        response.header("retry-after-ms"), response.header("retry-after")
    )
    detail = read_error(response.status, await _error_body(response))
    if retry_after is None:
        retry_after = bounded_seconds(detail.retry_after_seconds)
    if not detail.type:
        detail = msgspec.structs.replace(detail, type=_error_type(response))
    return failures.of_answer(response.status, detail, retry_after)


def _error_type(response: UpstreamResponse) -> str:
    """What AWS calls an error, which stands in a header there, before a namespace."""
    return response.header("x-amzn-errortype").partition(":")[0][:_ERROR_TYPE_LIMIT]


async def _error_body(response: UpstreamResponse) -> bytes:
    """What the upstream says about an error; nothing if it does not manage to."""
    try:
        return await response.read(_ERROR_LIMIT_BYTES)
    except UPSTREAM_ERRORS:
        return b""


def _check_streams(attempt: Attempt, request: UpstreamRequest) -> None:
    if attempt.dialect in _SAY_STREAM and not request.head.stream:
        raise InvalidRequestError("this request does not ask for a stream", field="stream")


def _with_passed(headers: Headers, endpoint: Endpoint, attempt: Attempt) -> Headers:
    """The headers, with those of the caller's that the endpoint is told, where they are fit for it."""
    passed = {
        name: value
        for name, value in attempt.headers
        if name in endpoint.passed_headers and _PASSED_VALUE.fullmatch(value)
    }
    if not passed:
        return headers
    return (*(header for header in headers if header[0] not in passed), *passed.items())


def _with_context(
    headers: tuple[tuple[str, str], ...], attempt: Attempt
) -> tuple[tuple[str, str], ...]:
    """The headers, and which request and trace this belongs to: what is fit to be sent of it."""
    if _REQUEST_ID.fullmatch(attempt.request_id):
        headers = (*headers, ("x-request-id", attempt.request_id))
    if attempt.traceparent and is_trace_context(attempt.traceparent):
        headers = (*headers, ("traceparent", attempt.traceparent))
    return headers


def _timings(clock: PhaseClock) -> Timings:
    now = time.monotonic()
    return Timings((clock.first_byte_at or now) - clock.started_at, now - clock.started_at)


def _done(answer: AnswerStream, timings: Timings) -> StreamDone:
    return StreamDone(
        served_model=answer.served_model,
        usage=answer.usage,
        finish_reason=answer.finish_reason,
        timings=timings,
    )
