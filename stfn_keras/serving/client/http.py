"""One POST over HTTP, its errors told as a transport tells them."""

import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from stfn_keras.errors import UserError
from stfn_keras.serving.client.transport import (
    ServerError,
    Unavailable,
    too_large,
    too_slow,
)

NOT_READY = 503
_CHUNK = 1 << 16  # bytes


def post(
    url: str, body: bytes, headers: dict[str, str], timeout: float, max_bytes: int
) -> tuple[bytes, dict[str, str]]:
    """Send a body and return the answer's, and its headers in lower case.

    Args:
        url: Of http or https.
        body: What is sent.
        headers: Of the request.
        timeout: Seconds until the answer must be whole. To connect, to send and to
            wait for its first line may take so long each: they are steps of one call.
        max_bytes: Of either body.

    Raises:
        Unavailable: Nobody answered, or with status 503.
        UserError: The server refused the request, took too long, or speaks no HTTP; or
            the address is none.
    """
    if len(body) > max_bytes:
        raise too_large(len(body), max_bytes)
    try:
        return _post(url, body, headers, timeout, max_bytes)
    except TimeoutError as error:
        raise too_slow(timeout) from error
    except http.client.InvalidURL as error:
        raise _no_address(url, error) from error
    except (urllib.error.URLError, OSError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise too_slow(timeout) from error
        if isinstance(reason, ssl.SSLError):
            raise UserError(f"the server cannot be trusted: {reason}") from error
        raise Unavailable(f"the server cannot be reached: {reason}") from error
    except http.client.IncompleteRead as error:
        raise Unavailable("the server broke off its answer") from error
    except http.client.HTTPException as error:
        raise UserError(
            f"--server must speak HTTP. Received from {url}: something else; gRPC has "
            "no http:// before it, and a port of its own"
        ) from error
    except ValueError as error:  # UnicodeError is one
        raise _no_address(url, error) from error


def answers(url: str, timeout: float) -> bool:
    """Whether a GET of an address of http or https is answered with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310
            return int(answer.status) == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def quote(name: str) -> str:
    """A name as a part of a path."""
    return urllib.parse.quote(name, safe="", errors="surrogateescape")


def _post(
    url: str, body: bytes, headers: dict[str, str], timeout: float, max_bytes: int
) -> tuple[bytes, dict[str, str]]:
    """Do it; errors are those of the standard library, but for what a status tells."""
    end = time.monotonic() + timeout
    request = urllib.request.Request(url, body, headers)  # noqa: S310 (http alone)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            found = _read(answer, end, max_bytes)
            return found, {key.lower(): value for key, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            words = _words(_read(error, end, max_bytes))
        if error.code == NOT_READY:
            raise Unavailable(f"the server is not ready: {words}") from error
        raise ServerError(str(error.code), words) from error


def _read(answer: Any, end: float, max_bytes: int) -> bytes:
    """Read an answer's body, as it comes, until `end` on the monotonic clock."""
    parts, size = [], 0
    while part := answer.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise too_large(size, max_bytes)
        if time.monotonic() > end:
            raise TimeoutError
    if answer.length:  # what was announced and did not come
        raise http.client.IncompleteRead(b"", answer.length)
    return b"".join(parts)


def _no_address(url: str, error: Exception) -> UserError:
    return UserError(
        f"--server must be an address such as http://HOST:8501. Received: {url!r}: "
        f"{error}"
    )


def _words(body: bytes) -> str:
    """The error of a JSON answer, or the answer itself."""
    text = body.decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.strip() or "no details"
