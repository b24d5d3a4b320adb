"""Forms with files, taken apart as plainly as can be."""

import hashlib
import re
from typing import Any

from upstream.http1 import Headers, header

_NAME = re.compile(rb'[; ]name="([^"]*)"')
_FILENAME = re.compile(rb'filename="([^"]*)"')
_TYPE = re.compile(rb"(?im)^content-type:\s*(.*?)\r?$")


def is_form(headers: Headers) -> bool:
    return header(headers, "content-type").startswith("multipart/form-data")


def read(headers: Headers, body: bytes) -> dict[str, Any]:
    """The fields by name, lists of those that end in `[]`, and of `files` what tells them apart."""
    boundary = header(headers, "content-type").partition("boundary=")[2].strip('"').encode()
    parts = body.split(b"--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n", parts[-1][:100]
    form: dict[str, Any] = {"files": []}
    for part in parts[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        _add(form, head, value.removesuffix(b"\r\n"))
    return form


def _add(form: dict[str, Any], head: bytes, value: bytes) -> None:
    (name,) = (found.decode() for found in _NAME.findall(head))
    filename, kind = _FILENAME.search(head), _TYPE.search(head)
    if filename is None:
        known = form.get(name)
        text: Any = value.decode()
        form[name] = [*(known or []), text] if name.endswith("[]") else text
        return
    form["files"].append(
        {
            "name": name,
            "filename": filename[1].decode(),
            "content_type": kind[1].decode() if kind else "",
            "size": len(value),
            "sha256": hashlib.sha256(value).hexdigest(),
        }
    )
