"""Downloads over HTTP that continue where they broke off.

    download("https://example.org/UCF101.rar", Path("UCF101.rar"))

The bytes are written beside the target, under `<name>.partial`, with a note of the
server's own mark of the version (ETag or Last-Modified) in `<name>.json`. They are
continued only while the server says that the file is still that version.
"""

import errno
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stfn_keras.errors import UserError
from stfn_keras.files import read_json, write_json

RETRIES = 6  # in a row that bring no byte
MOST_TRIES = 1000  # in all: a server that sends a few bytes each time ends too
TIMEOUT = 60.0  # seconds without a byte
BLOCK = 1 << 18  # bytes read at once

_LONGEST_PAUSE = 60.0  # seconds
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # HTTP: a later try may succeed
_BY_HAND = "download it by other means, such as a browser, and pass"


class _Broken(Exception):
    """The connection broke off; another try may succeed."""


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https, but never from https to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        allowed = ("https:",) if req.type == "https" else ("http:", "https:")
        if not newurl.lower().startswith(allowed):
            raise UserError(
                f"{req.full_url} must lead to {' or '.join(allowed)} addresses only. "
                f"Received: a redirection to {newurl}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_address(text: str) -> bool:
    """Whether a text is an address with a scheme, not a local path."""
    return "://" in text


def download(
    address: str,
    target: Path,
    hint: str = "the file",
    timeout: float = TIMEOUT,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Download a file, or what is missing of it; one that is there is left alone.

    Args:
        address: http or https; redirections are followed. Certificates are checked.
        target: Whole or absent: renamed into place when every byte is there.
        hint: What to pass to the command instead of the address, for messages.
        timeout: Seconds without a byte after which a connection counts as broken.
        sleep: Waits the given seconds between tries.

    Raises:
        UserError: The server refuses, cannot be reached or trusted, the connection
            keeps breaking, or the disk is full. What has arrived is kept.
    """
    if urllib.parse.urlsplit(address).scheme.lower() not in ("http", "https"):
        raise UserError(f"expected an address of http or https. Received: {address}")
    note = _Note(address, target)
    try:
        if not note.is_finished(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _repeat(address, note, hint, timeout, sleep)
            # Before the renaming: a kill between the two leaves the whole partial file.
            note.write(finished=True)
        if note.partial.is_file():
            os.replace(note.partial, target)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; mend that, then the "
            "same command continues"
        ) from error


class _Note:
    """What is known about a partial file, in a JSON file beside it."""

    def __init__(self, address: str, target: Path) -> None:
        self.address = address
        self.partial = target.with_name(f"{target.name}.partial")
        self.path = target.with_name(f"{target.name}.json")

    def read(self) -> dict:
        """The note, empty where there is none of this address."""
        try:
            found = read_json(self.path, "the note of a download")
        except UserError:
            return {}
        return found if found.get("address") == self.address else {}

    def write(self, **values: Any) -> None:
        write_json(self.path, {"address": self.address, **values})

    def is_finished(self, target: Path) -> bool:
        """Whether every byte is there, under the final name or still the partial."""
        is_there = target.is_file() or self.partial.is_file()
        return is_there and bool(self.read().get("finished"))

    def have(self) -> int:
        """Bytes that can be continued: 0 without a mark of the version."""
        if not self.read().get("version"):
            return 0
        return self.partial.stat().st_size if self.partial.is_file() else 0


def _repeat(
    address: str,
    note: _Note,
    hint: str,
    timeout: float,
    sleep: Callable[[float], None],
) -> None:
    """Try until the file is whole, with longer and longer pauses."""
    opener = _opener()
    fruitless = 0
    name = note.path.stem
    with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc=name) as bar:
        for _ in range(MOST_TRIES):
            before = note.have()
            try:
                _continue(opener, note, bar, hint, timeout)
                return
            except _Broken as broken:
                reason = broken
            fruitless = 0 if note.have() > before else fruitless + 1
            if fruitless == RETRIES:
                break
            bar.set_postfix_str(f"broken off: {reason}; trying again")
            sleep(min(2.0**fruitless, _LONGEST_PAUSE))
    raise UserError(
        f"{address} failed again and again ({reason}): the same command continues, or "
        f"{_BY_HAND} {hint}"
    )


def _opener() -> urllib.request.OpenerDirector:
    """An opener of http and https alone: no files, no FTP, also after redirections."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _Redirections(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _continue(
    opener: urllib.request.OpenerDirector,
    note: _Note,
    bar: tqdm,
    hint: str,
    timeout: float,
) -> None:
    """One try: ask for what is missing, and write what comes.

    Raises:
        _Broken: It ended early; what came is kept.
        UserError: Another try is of no use.
    """
    have = note.have()
    if have and have == note.read().get("bytes"):
        return  # killed between the last byte and the renaming
    headers = {"User-Agent": "stfn-keras", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": note.read()["version"]}
    try:
        request = urllib.request.Request(note.address, headers=headers)  # noqa: S310
        with opener.open(request, timeout=timeout) as response:
            if not _continues(response, note, have):
                have = 0
            _receive(response, note, have, bar)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing is left, or the file has shrunk: ask anew
            note.partial.unlink(missing_ok=True)
            raise _Broken("the file has changed") from error
        if error.code in _TRY_AGAIN:
            raise _Broken(f"HTTP status {error.code}") from error
        raise UserError(
            f"{note.address} is not to be had: HTTP status {error.code} "
            f"({error.reason}); {_BY_HAND} {hint}"
        ) from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _Broken(str(error) or type(error).__name__) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise UserError(
                f"the certificate of {note.address} cannot be verified "
                f"({error.reason.verify_message}): {_BY_HAND} {hint}"
            ) from error
        raise _Broken(str(error.reason)) from error
    except ssl.SSLError as error:
        raise _Broken(str(error)) from error


def _continues(response: Any, note: _Note, have: int) -> bool:
    """Whether the answer is the rest of the same version, from byte `have` on."""
    if not have or response.status != 206:
        return False
    expected = note.read()["version"]
    header = "ETag" if expected.startswith('"') else "Last-Modified"
    received = response.headers.get(header) or expected
    if received != expected or not _range(response).startswith(f"{have}-"):
        # It disregards what was asked for. Two versions are never mixed.
        note.partial.unlink(missing_ok=True)
        raise _Broken("the server sent another part, or another version, of the file")
    return True


def _range(response: Any) -> str:
    """Such as `500-999/1000`; empty where the answer is the whole file."""
    return (response.headers.get("Content-Range") or "").removeprefix("bytes ").strip()


def _version(response: Any) -> str:
    """The server's mark of the file's version that If-Range accepts, or nothing."""
    tag = response.headers.get("ETag") or ""
    if tag.startswith('"'):  # others are weak: bytes may differ
        return tag
    return response.headers.get("Last-Modified") or ""


def _receive(response: Any, note: _Note, have: int, bar: tqdm) -> None:
    """Append the answer to the partial file, or begin it anew if `have` is 0."""
    length = response.length or 0  # 0: the server does not say
    stated = _range(response).rpartition("/")[2] if have else ""
    total = int(stated) if stated.isdigit() else have + length if length else 0
    if not have:
        note.write(version=_version(response), bytes=total)
    _check_disk(note.partial, length)
    bar.total = total or None
    bar.n = bar.initial = have
    bar.refresh()
    with note.partial.open("ab" if have else "wb") as file:
        try:
            while block := _read(response):
                file.write(block)
                bar.update(len(block))
        finally:
            file.flush()
            os.fsync(file.fileno())
        size = file.tell()
    if total and size != total:
        raise _Broken(f"{size:,} of {total:,} bytes came")


def _read(response: Any) -> bytes:
    """The next block; errors of the connection, as distinct from the disk's."""
    try:
        return response.read(BLOCK)
    except http.client.IncompleteRead as error:
        raise _Broken("the answer ended early") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from error


def _check_disk(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise OSError(
            errno.ENOSPC, f"{needed:,} bytes are still to come, {free:,} are free"
        )
