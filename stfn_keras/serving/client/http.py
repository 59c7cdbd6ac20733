"""One POST over HTTP, its errors told as a transport tells them."""

import json
import urllib.error
import urllib.request

from stfn_keras.serving.client.transport import (
    ServerError,
    Unavailable,
    too_large,
    too_slow,
)

NOT_READY = 503


def post(
    url: str, body: bytes, headers: dict[str, str], timeout: float, max_bytes: int
) -> tuple[bytes, dict[str, str]]:
    """Send a body and return the answer's, and its headers in lower case.

    Args:
        url: Of http or https.
        body: What is sent.
        headers: Of the request.
        timeout: Seconds that each step of the connection may take.
        max_bytes: Of either body.

    Raises:
        Unavailable: Nobody answered, or with status 503.
        UserError: The server refused the request, or took too long.
    """
    if len(body) > max_bytes:
        raise too_large(len(body), max_bytes)
    request = urllib.request.Request(url, body, headers)  # noqa: S310 (http alone)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            found = answer.read(max_bytes + 1)
            if len(found) > max_bytes:
                raise too_large(len(found), max_bytes)
            return found, {key.lower(): value for key, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        words = _words(error.read(max_bytes))
        if error.code == NOT_READY:
            raise Unavailable(f"the server is not ready: {words}") from error
        raise ServerError(str(error.code), words) from error
    except TimeoutError as error:
        raise too_slow(timeout) from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise too_slow(timeout) from error
        raise Unavailable(f"the server cannot be reached: {reason}") from error


def _words(body: bytes) -> str:
    """The error of a JSON answer, or the answer itself."""
    text = body.decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.strip() or "no details"
