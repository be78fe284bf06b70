"""Manifests in an object store (a real S3 server on this machine) and behind http."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from runner.manifest.held_files import HELD_BYTES, HeldFiles
from runner.manifest.open import open_manifest
from runner.manifest.records import ManifestError
from tests.support.manifest_readback import read_back
from tests.support.odd_manifests.parquets import parquet

if TYPE_CHECKING:
    from obstore.store import S3Store

obstore = pytest.importorskip("obstore", reason="obstore (imagemill[cloud]) is not installed")

BUCKET = "manifests"
PROMPTS = [f"thing {i}" for i in range(3_000)]
CSV = ("id,prompt\n" + "".join(f"{i},{prompt}\n" for i, prompt in enumerate(PROMPTS))).encode()
PARQUET = parquet({"prompt": pa.array(PROMPTS), "x": pa.array(range(3_000))}, row_group_size=1_000)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    """moto's server, a process of its own, with an empty bucket."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    run = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while not answers(address):
                assert server.poll() is None, "the S3 server did not start"
                time.sleep(0.02)
            urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT")).close()
            yield address
        finally:
            server.terminate()


@pytest.fixture
def bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """The bucket, through the environment that obstore reads."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    store: S3Store = obstore.store.from_url(f"s3://{BUCKET}", client_options={"allow_http": True})
    return store


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.csv", CSV),
        ("deep/er/a.csv.gz", gzip.compress(CSV)),
        ("a.parquet", PARQUET),
        ("without-extension", CSV),
        ("spaces and #?%/a.csv", CSV),
        ("a.txt", "\n".join(PROMPTS).encode()),
    ],
)
def test_one_file(bucket: S3Store, key: str, content: bytes) -> None:
    obstore.put(bucket, key, content)
    url = f"s3://{BUCKET}/{key.replace('?', '[?]')}"
    for _ in range(2):
        assert read_back(open_manifest(url)).prompts == PROMPTS


def test_a_long_file_comes_in_parts(bucket: S3Store) -> None:
    lines = [f"prompt {i} {'x' * 1_000}" for i in range(5_000)]
    obstore.put(bucket, "long.txt", "\n".join(lines).encode())
    assert read_back(open_manifest(f"s3://{BUCKET}/long.txt")).prompts == lines


def test_patterns_and_folders(bucket: S3Store) -> None:
    for key in ("p/b.csv", "p/a.csv", "p/a.md", "p/sub/c.csv", "q/a.csv"):
        obstore.put(bucket, key, f"prompt\n{key}\n".encode())
    found = read_back(open_manifest(f"s3://{BUCKET}/p/*.csv"))
    assert found.prompts == ["p/a.csv", "p/b.csv"] and found.locations == ["a.csv, line 2", "b.csv, line 2"]
    assert read_back(open_manifest(f"s3://{BUCKET}/p/**/*.csv")).prompts == [
        "p/a.csv",
        "p/b.csv",
        "p/sub/c.csv",
    ]
    assert read_back(open_manifest(f"s3://{BUCKET}/[pq]/a.csv")).prompts == ["p/a.csv", "q/a.csv"]
    for key in ("t/2.txt", "t/10.txt", "t/.x.txt", "t/sub/3.txt", "t/4.md"):
        obstore.put(bucket, key, f"{key}\n".encode())
    manifest = open_manifest(f"s3://{BUCKET}/t/")
    found = read_back(manifest)
    assert (found.ids, found.prompts) == (["10", "2"], ["t/10.txt", "t/2.txt"])
    assert (manifest.label, manifest.stem) == (f"s3://{BUCKET}/t/", "t")


def test_odd_files(bucket: S3Store) -> None:
    obstore.put(bucket, "empty.txt", b"")
    assert read_back(open_manifest(f"s3://{BUCKET}/empty.txt")).prompts == []
    obstore.put(bucket, "empty.parquet", b"")
    with pytest.raises(ManifestError, match=r"empty\.parquet cannot be read"):
        open_manifest(f"s3://{BUCKET}/empty.parquet")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"s3://{BUCKET}/nothing.csv", "nothing.csv is not there"),
        ("s3://no-such-bucket/a.csv", "a.csv is not there"),
        (f"s3://{BUCKET}/nothing/*.csv", "no file matches"),
        (f"s3://{BUCKET}/nothing/", "folder without .txt files"),
        (f"s3://{BUCKET}", "names no file"),
        ("ftp://host/a.csv", "ftp:// is no address of a manifest"),
        ("s3:///a.csv", "cannot be read"),
        ("http://[/a.csv", "cannot be read"),
        ("http:///a.csv", "cannot be read"),
        ("https://host/folder/?x=1", "is a folder, which web servers do not list"),
    ],
)
def test_what_is_not_there(bucket: S3Store, url: str, message: str) -> None:
    with pytest.raises(ManifestError) as stop:
        open_manifest(url)
    assert message in stop.value.message and stop.value.fix and "\n" not in stop.value.message


def test_a_file_that_changes_while_it_is_read(bucket: S3Store) -> None:
    content = b"prompt,n\n" + b"a,1\n" * 1_000_000
    obstore.put(bucket, "changing.csv", content)
    batches = open_manifest(f"s3://{BUCKET}/changing.csv").batches()
    next(batches)
    obstore.put(bucket, "changing.csv", content.replace(b"a", b"b"))
    with pytest.raises(ManifestError, match=r"changing\.csv has changed while it was read"):
        list(batches)


def test_a_held_object_is_read_as_it_was(bucket: S3Store) -> None:
    obstore.put(bucket, "held.csv", CSV)
    manifest = open_manifest(f"s3://{BUCKET}/held.csv", held=HeldFiles())
    assert manifest.changed() is None
    obstore.put(bucket, "held.csv", CSV.replace(b"thing", b"other"))
    assert manifest.changed() == "held.csv was written to"
    obstore.delete(bucket, "held.csv")
    assert manifest.changed() == "held.csv was moved or removed"
    assert read_back(manifest).prompts == PROMPTS


def test_a_long_held_object_gives_no_record_of_another(bucket: S3Store) -> None:
    content = b"prompt,n\n" + b"a,1\n" * (HELD_BYTES // 4 + 1)
    obstore.put(bucket, "long.csv", content)
    manifest = open_manifest(f"s3://{BUCKET}/long.csv", held=HeldFiles())
    obstore.put(bucket, "long.csv", content.replace(b"a", b"b"))
    with pytest.raises(ManifestError, match=r"long\.csv has changed while it was read"):
        next(manifest.batches())
    obstore.delete(bucket, "long.csv")
    with pytest.raises(ManifestError, match=r"long\.csv is not there"):
        next(manifest.batches())


def test_without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    for url in ("s3://bucket/a.csv", "https://host/a.csv", "gs://bucket/folder/"):
        with pytest.raises(ManifestError, match="needs obstore") as stop:
            open_manifest(url)
        assert stop.value.fix == "pip install 'imagemill[cloud]'"


FILES = {"/a.csv": CSV, "/a.csv.gz": gzip.compress(CSV), "/a%20b.parquet": PARQUET}


class Web(BaseHTTPRequestHandler):
    """Serves `FILES` to those who know the token; parts of files only where `parts` is set."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *request: object, parts: bool) -> None:
        self.parts = parts
        super().__init__(*request)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        found = FILES.get(path) if query == "token=s%3Dcret" else None
        if found is None:
            self.send_error(403 if path in FILES else 404)
            return
        span = self.headers.get("Range", "").removeprefix("bytes=")
        if span and self.parts:
            first, _, last = span.partition("-")
            part = found[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(found)}")
        else:
            part = found
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(params=[True, False], ids=["parts", "whole files only"])
def web(request: pytest.FixtureRequest) -> Iterator[tuple[str, bool]]:
    """The server's address and whether it serves parts of files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Web, parts=request.param)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", request.param
        server.shutdown()
        thread.join()


def test_web_addresses(web: tuple[str, bool]) -> None:
    address, parts = web
    for path in ("/a.csv", "/a.csv.gz"):
        manifest = open_manifest(f"{address}{path}?token=s%3Dcret#part")
        assert read_back(manifest).prompts == PROMPTS
        assert (manifest.label, manifest.stem) == (f"{address}{path}", "a")
    if parts:
        found = read_back(open_manifest(f"{address}/a%20b.parquet?token=s%3Dcret"))
        assert found.prompts == PROMPTS and found.extras["x"] == list(range(3_000))
    else:
        with pytest.raises(
            ManifestError, match=r"a b\.parquet lies on a server that serves whole files only"
        ):
            open_manifest(f"{address}/a%20b.parquet?token=s%3Dcret")


def test_a_held_web_file_is_asked_for_once_more_to_see_that_it_is_the_same(web: tuple[str, bool]) -> None:
    """Also Parquet from a server that does not serve parts, which a run reads from memory."""
    for path in ("/a.csv", "/a%20b.parquet"):
        manifest = open_manifest(f"{web[0]}{path}?token=s%3Dcret", held=HeldFiles())
        assert read_back(manifest).prompts == read_back(manifest).prompts == PROMPTS
        assert manifest.changed() is None


def test_secrets_of_an_address_are_in_no_message(web: tuple[str, bool]) -> None:
    """G14: the query of a signed URL and a password are left out."""
    host = web[0].removeprefix("http://")
    for path in ("/a.csv", "/nothing.csv"):
        with pytest.raises(ManifestError) as stop:
            open_manifest(f"http://user:passw0rd@{host}{path}?token=hunter2")
        shown = f"{stop.value.message} {stop.value.fix} {stop.value!r} {stop.value.__context__}"
        assert "hunter2" not in shown and "passw0rd" not in shown


def test_no_server() -> None:
    with pytest.raises(ManifestError, match=r"a\.csv cannot be read"):
        open_manifest(f"http://127.0.0.1:{free_port()}/a.csv")
