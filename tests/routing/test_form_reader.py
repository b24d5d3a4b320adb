"""Forms with files, wherever reads split them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import uploaded_form
from meshgate.dialects.uploaded_form import Part
from meshgate.routing.uploads import form_reader
from meshgate.routing.uploads.form_reader import FIELDS_LIMIT_BYTES, FILES_LIMIT_BYTES, FormReader
from meshgate.runtime.errors import InvalidRequestError, RequestTooLargeError

TYPE = "multipart/form-data; boundary=xyz"
NAMES = st.text("abcdefgh[]_", min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
CONTENTS = st.lists(
    st.sampled_from([b"\r\n", b"--", b"xyz", b"--xyz", b"\r\n--xy", b"\r", b"\n", b"a\0\xff"]),
    max_size=12,
).map(b"".join)


def read(body: bytes, cuts: list[int] | None = None, content_type: str = TYPE):
    """The parts of a form that comes in pieces, and the bytes of its files."""
    files = bytearray()
    reader = FormReader(content_type, files.extend)
    for start, end in pairwise([0, *sorted(cuts or []), len(body)]):
        reader.feed(body[start:end])
    reader.close()
    return reader.parts, bytes(files)


def field(name: str, value: bytes) -> bytes:
    return b'--xyz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
        name.encode(),
        value,
    )


def file(value: bytes, name: str = "file", more: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="a.wav"'
    return f"--xyz\r\n{disposition}{more}\r\n\r\n".encode() + value + b"\r\n"


END = b"--xyz--\r\n"


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4), CONTENTS, st.data())
def test_it_is_the_same_wherever_it_is_split(fields, content, data):
    if b"\r\n--xyz" in b"\r\n" + content:
        content = b""
    body = file(content) + b"".join(field(name, value.encode()) for name, value in fields) + END
    fields = [(name, value) for name, value in fields]
    if any("\r\n--xyz" in "\r\n" + value for _, value in fields):
        return
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20))

    parts, files = read(body, cuts)

    assert files == content
    assert parts == [
        Part("file", None, "a.wav", "", len(content)),
        *(Part(name, value) for name, value in fields),
    ]


def test_it_is_the_same_byte_by_byte():
    body = field("model", b"m") + file(b"\r\n--xy\r\n\r\n-") + END

    assert read(body, list(range(len(body)))) == read(body)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4), st.lists(CONTENTS, max_size=3))
def test_what_is_written_for_an_upstream_is_read_as_it_was(fields, contents):
    parts = [Part(name, value) for name, value in fields]
    parts += [Part("image[]", None, "é.png", "image/png", len(each)) for each in contents]

    form = uploaded_form.multipart(uploaded_form.write(parts))
    body = form.fields + b"".join(
        head + content for head, content in zip(form.heads, contents, strict=True)
    )
    body += form.end

    assert len(body) == form.length
    assert read(body, content_type=form.content_type) == (parts, b"".join(contents))


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("filename*=utf-8''Grü%C3%9Fe.mp3", "Grüße.mp3"),
        ("filename=\"a.mp3\"; filename*=utf-8''b.mp3", "a.mp3"),
        ("filename*=a.mp3", "a.mp3"),
        ("filename*=utf-8'en'%ff.wav", "\ufffd.wav"),
    ],
)
def test_a_files_name_is_read_however_it_is_written(told, name):
    head = f'--xyz\r\nContent-Disposition: form-data; name="file"; {told}\r\n\r\n'

    [part], _ = read(head.encode() + b"sound\r\n" + END)

    assert part.filename == name


def test_what_comes_before_the_first_boundary_and_after_the_last_is_nobodys():
    body = b"a preamble\r\n" + field("model", b"m") + END + b"an epilogue --xyz"

    assert read(body) == ([Part("model", "m")], b"")


def test_a_part_may_be_empty():
    assert read(field("prompt", b"") + file(b"") + END) == (
        [Part("prompt", ""), Part("file", None, "a.wav", "", 0)],
        b"",
    )


@pytest.mark.parametrize("quoted", ['"xyz"', "xyz", "xyz; charset=utf-8"])
def test_a_boundary_may_stand_in_quotes(quoted):
    body = field("model", b"m") + END

    parts, _ = read(body, content_type=f"Multipart/Form-Data; boundary={quoted}")

    assert parts == [Part("model", "m")]


def test_names_may_hold_quotes():
    body = b'--xyz\r\ncontent-disposition: form-data; name="a\\"b"\r\n\r\nv\r\n' + END

    assert read(body)[0] == [Part('a"b', "v")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--xyz",
        field("model", b"m"),
        field("model", b"m") + b"--xyz-",
        b"--xyz\r\n\r\nno headers\r\n" + END,
        b"--xyz\r\ncontent-disposition: attachment\r\n\r\n\r\n" + END,
        b'--xyz\r\ncontent-disposition: form-data; filename="a"\r\n\r\n\r\n' + END,
        b"--xyzz\r\n" + END,
        field("model", b"\xff"),
        file(b"YQ==", more="\r\nContent-Transfer-Encoding: base64") + END,
        field("a", b"") * 257 + END,
    ],
)
def test_what_is_no_form_is_refused(body):
    with pytest.raises(InvalidRequestError):
        read(body + (END if body.endswith(b"\xff\r\n") else b""))


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=xyz"]
)
def test_what_is_no_form_by_its_own_words_is_refused(content_type):
    with pytest.raises(InvalidRequestError):
        read(END, content_type=content_type)


def test_files_may_be_as_large_as_the_limit_and_no_larger():
    kept = []
    reader = FormReader(TYPE, lambda data: kept.append(len(data)))
    reader.feed(file(b"")[:-2])
    piece = b"\0" * (1 << 20)
    for _ in range(FILES_LIMIT_BYTES // len(piece)):
        reader.feed(piece)
    reader.feed(b"\r\n--xyz--")
    reader.close()

    assert sum(kept) == FILES_LIMIT_BYTES
    assert max(kept) <= len(piece) + 100


def test_a_byte_more_is_refused_as_soon_as_it_comes():
    reader = FormReader(TYPE, lambda _data: None)
    reader.feed(file(b"")[:-2] + b"\0" * FILES_LIMIT_BYTES)

    with pytest.raises(RequestTooLargeError) as caught:
        reader.feed(b"\0" * 100)

    assert caught.value.http_status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"x" * (FIELDS_LIMIT_BYTES + 10),
        field("prompt", b"x" * (FIELDS_LIMIT_BYTES + 1)),
        b"--xyz\r\nX: " + b"x" * form_reader._HEADERS_LIMIT_BYTES,
    ],
)
def test_what_must_be_held_in_memory_is_bounded(body):
    with pytest.raises(RequestTooLargeError):
        read(body + END)
