"""Downloads from a local server that breaks off, changes, refuses or lies."""

import ssl
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from data_prep.fetching import download as downloading
from data_prep.fetching.download import download
from stfn_keras.errors import UserError

sys.path.append(str(Path(__file__).parent))
from broken_server import Handler, Site, served  # noqa: E402

sys.path.pop()

OLD, NEW = bytes(range(256)) * 40, bytes(reversed(range(256))) * 30


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def get(tmp_path, pauses):
    def run(address: str, **options) -> bytes:
        path = tmp_path / "in" / "a.rar"
        download(address, path, hint="--from FILE", sleep=pauses.append, **options)
        assert not path.with_name("a.rar.partial").exists()
        return path.read_bytes()

    return run


def asked(site: Site) -> list[str]:
    return [request.get("Range", "") for request in site.requests]


def test_breaks_off_several_times(get, pauses):
    site = Site(OLD, [1000, 2000, 0, 500, None])
    with served(site) as address:
        assert get(f"{address}/a.rar") == OLD
    assert asked(site) == [
        "",
        "bytes=1000-",
        "bytes=3000-",
        "bytes=3000-",
        "bytes=3500-",
    ]
    assert all(r["If-Range"] == '"v1"' for r in site.requests[1:])
    assert pauses == [1, 1, 2, 1]


def test_a_later_run_continues_and_a_finished_one_asks_nothing(get):
    site = Site(OLD, [4000, "404"])
    with served(site) as address:
        with pytest.raises(UserError, match="HTTP status 404"):
            get(f"{address}/a.rar")
        site.steps = [None]
        assert get(f"{address}/a.rar") == OLD
        assert asked(site)[-1] == "bytes=4000-"
        assert get(f"{address}/a.rar") == OLD
        assert len(site.requests) == 3


def test_another_address_starts_anew(get):
    site = Site(OLD, [4000, "404"])
    with served(site) as address:
        with pytest.raises(UserError):
            get(f"{address}/a.rar")
        site.steps = [None]
        assert get(f"{address}/other/a.rar") == OLD
    assert asked(site)[-1] == ""


def test_killed_before_the_renaming(get, tmp_path):
    site = Site(OLD, [None])
    with served(site) as address:
        get(f"{address}/a.rar")
        folder = tmp_path / "in"
        (folder / "a.rar").rename(folder / "a.rar.partial")
        note = folder / "a.rar.json"
        version = {"address": f"{address}/a.rar", "version": '"v1"', "bytes": len(OLD)}
        downloading.write_json(note, version)
        assert get(f"{address}/a.rar") == OLD
        assert len(site.requests) == 1


@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("tag", [None, '"v1"'])
def test_killed_around_the_renaming(get, monkeypatch, calls, tag):
    """The whole file is never asked for again once its note says so."""
    real, count = downloading.os.replace, [0]

    def dying(*names):
        # The note of the beginning, the note of the end, then the file itself.
        count[0] += 1
        if count[0] == calls:
            raise KeyboardInterrupt
        real(*names)
        if count[0] == 3:
            raise KeyboardInterrupt

    site = Site(OLD, [None], tag=tag)
    with served(site) as address:
        with monkeypatch.context() as patch:
            patch.setattr(downloading.os, "replace", dying)
            with pytest.raises(KeyboardInterrupt):
                get(f"{address}/a.rar")
        assert get(f"{address}/a.rar") == OLD
    known = calls == 3 or (calls == 2 and tag)
    assert len(site.requests) == (1 if known else 2)


def test_a_finished_file_that_is_gone_is_asked_for_again(get, tmp_path):
    site = Site(OLD, [None])
    with served(site) as address:
        get(f"{address}/a.rar")
        (tmp_path / "in" / "a.rar").unlink()
        assert get(f"{address}/a.rar") == OLD
    assert asked(site) == ["", ""]


def test_a_server_without_ranges_starts_from_zero(get):
    site = Site(OLD, [4000, 6000, None], ranges=False)
    with served(site) as address:
        assert get(f"{address}/a.rar") == OLD
    assert asked(site) == ["", "bytes=4000-", "bytes=6000-"]


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_mark_of_the_version_starts_from_zero(get, tag):
    site = Site(OLD, [4000, None], tag=tag)
    with served(site) as address:
        assert get(f"{address}/a.rar") == OLD
    assert asked(site) == ["", ""]


def test_the_date_serves_where_the_tag_is_weak(get):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    site = Site(OLD, [4000, None], tag='W/"weak"', modified=date)
    with served(site) as address:
        assert get(f"{address}/a.rar") == OLD
    assert site.requests[1]["If-Range"] == date


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changes_is_never_mixed(get, heeds):
    site = Site(OLD, [4000, 100, None], heeds=heeds)
    with served(site) as address:

        class Steps(list):
            def pop(self, index):
                if len(self) == 2:  # the second request
                    site.data, site.tag = NEW, '"v2"'
                return list.pop(self, index)

        site.steps = Steps(site.steps)
        assert get(f"{address}/a.rar") == NEW


def test_a_file_that_shrank(get):
    site = Site(OLD, [4000, "404"], heeds=False)
    with served(site) as address:
        with pytest.raises(UserError):
            get(f"{address}/a.rar")
        site.data, site.tag, site.steps = NEW[:500], '"v2"', [None]
        assert get(f"{address}/a.rar") == NEW[:500]


def test_another_range_than_asked_for_is_not_taken(get):
    site = Site(OLD, [4000, None], shift=7)
    with served(site) as address:
        assert get(f"{address}/a.rar") == OLD
    assert asked(site) == ["", "bytes=4000-", ""]


def test_no_stated_length(get):
    site = Site(OLD, [None], length=False)
    with served(site) as address:
        assert get(f"{address}/a.rar") == OLD


def test_gives_up_after_tries_that_bring_nothing(get, pauses, tmp_path):
    site = Site(OLD, [4000, 0])
    with served(site) as address:
        with pytest.raises(UserError, match="failed again and again.*--from FILE"):
            get(f"{address}/a.rar")
    assert len(site.requests) == 1 + downloading.RETRIES
    assert pauses == [1, 2, 4, 8, 16, 32]
    assert (tmp_path / "in" / "a.rar.partial").read_bytes() == OLD[:4000]
    assert not (tmp_path / "in" / "a.rar").exists()


def test_tries_are_bounded_even_where_each_brings_a_byte(get, monkeypatch):
    monkeypatch.setattr(downloading, "MOST_TRIES", 20)
    site = Site(OLD, [1])
    with served(site) as address:
        with pytest.raises(UserError, match="again and again"):
            get(f"{address}/a.rar")
    assert len(site.requests) == 20


def test_busy_servers_are_asked_again_and_refusals_are_final(get):
    site = Site(OLD, ["503", "429", None])
    with served(site) as address:
        assert get(f"{address}/a.rar") == OLD
    site = Site(OLD, ["403"])
    with served(site) as address:
        with pytest.raises(UserError, match="HTTP status 403.*--from FILE"):
            get(f"{address}/b.rar")
    assert len(site.requests) == 1


def test_a_silent_server_counts_as_broken_off(get, monkeypatch):
    monkeypatch.setattr(downloading, "RETRIES", 2)
    wake = threading.Event()
    site = Site(OLD, [None])
    monkeypatch.setattr(Handler, "do_GET", lambda _: wake.wait(20))
    with served(site) as address:
        with pytest.raises(UserError, match="again and again.*timed out"):
            get(f"{address}/a.rar", timeout=0.1)
        wake.set()


def test_nobody_answers(get, pauses):
    with served(Site(OLD, [None])) as address:
        pass
    with pytest.raises(UserError, match="again and again.*refused"):
        get(f"{address}/a.rar")


def test_redirections(get):
    site = Site(OLD, [None])
    with served(site) as address:
        for bad in ("file:///etc/passwd", "ftp://127.0.0.1/a.rar"):
            site.location = bad
            with pytest.raises(UserError, match="edirection to"):
                get(f"{address}/from")
        assert len(site.requests) == 2
        site.location = f"{address}/a.rar"
        assert get(f"{address}/from") == OLD


@pytest.mark.parametrize(
    ("first", "then", "is_followed"),
    [
        ("https", "https", True),
        ("http", "https", True),
        ("http", "http", True),
        ("https", "http", False),
        ("https", "HTTP", False),
        ("https", "file", False),
        ("http", "ftp", False),
    ],
)
def test_no_redirection_leaves_https(first, then, is_followed):
    request = urllib.request.Request(f"{first}://a.example/x.rar")  # noqa: S310
    asked = (request, None, 302, "Found", {}, f"{then}://b.example/y.rar")
    redirect = downloading._Redirections().redirect_request
    if is_followed:
        assert redirect(*asked).full_url == f"{then}://b.example/y.rar"
    else:
        with pytest.raises(UserError, match="a redirection to"):
            redirect(*asked)


def test_the_opener_asks_that_rule():
    handlers = downloading._opener().handlers
    assert any(isinstance(h, downloading._Redirections) for h in handlers)


@pytest.mark.parametrize("address", ["ftp://x/a.rar", "file:///etc/passwd", "s3://b/a"])
def test_other_schemes_are_refused(get, address):
    with pytest.raises(UserError, match="http or https"):
        get(address)


def test_an_unverified_certificate_is_refused_with_a_hint(get, tmp_path, monkeypatch):
    def refuse(*_, **__):
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "unable to get local issuer certificate"
        raise downloading.urllib.error.URLError(error)

    monkeypatch.setattr(downloading.urllib.request.OpenerDirector, "open", refuse)
    with pytest.raises(UserError, match="browser, and pass --from FILE"):
        get("https://127.0.0.1/a.rar")


def test_a_full_disk_is_told_and_what_came_is_kept(get, tmp_path, monkeypatch):
    site = Site(OLD, [4000, None])
    usage = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _: usage)
    with served(site) as address:
        usage.free = 100
        with pytest.raises(UserError, match="10,240 bytes are still to come, 100"):
            get(f"{address}/a.rar")
        usage.free = 10**9
        assert get(f"{address}/a.rar") == OLD


def test_the_note_of_another_program_is_not_trusted(get, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for text in ("{", "[]", '{"address": 1}'):
        (folder / "a.rar.json").write_text(text)
        (folder / "a.rar.partial").write_bytes(b"junk")
        Path(folder / "a.rar").write_bytes(b"junk")
        with served(Site(OLD, [None])) as address:
            assert get(f"{address}/a.rar") == OLD
