"""Manifests in object stores and behind http(s), through obstore (the extra `imagemill[cloud]`).

Addresses: `s3://bucket/key` and the like, the key taken literally but for `*`, `?` and `[…]`, which make it a pattern;
`https://host/path?query`. Credentials and endpoints come from the environment that obstore documents (`AWS_…`).
"""

from __future__ import annotations

import io
import os
import re
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

from jobs.addresses import is_glob
from runner.manifest.formats.text import SUFFIX, is_prompt_file
from runner.manifest.object_store_files import (
    RemoteFile,
    RemoteStream,
    obstore_or_stop,
    remote_state,
    request_store,
)
from runner.manifest.records import ManifestError
from runner.manifest.sources import SourceFile, printable

if TYPE_CHECKING:
    from typing import BinaryIO

    from obstore import ObjectMeta
    from obstore.store import ObjectStore

STORES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
WEB = ("http", "https")

BUFFER_BYTES = 1024 * 1024
"""What one request for a part of a text file asks for."""

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AZURE_ENDPOINT")

_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_CLIENT: Any = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "1day"}
"""A whole answer may take long, for a manifest is read while images are made; silence may not."""


def shown_url(url: str) -> str:
    """The URL for messages: without user, password, query and fragment, for they may be secrets."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() in WEB:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return printable(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}")


def remote_sources(url: str) -> list[SourceFile]:
    """The file at `url`, or the files that match it, sorted. Raises ManifestError where there is none."""
    if url.partition("://")[0].lower() in WEB:
        return [_web_source(url)]
    store, key = _store(url)
    if not key:
        raise ManifestError(
            f"{shown_url(url)} names no file", fix="add the file's path, or a slash for a folder"
        )
    if not is_glob(key):
        return [_source(store, key)]
    keys = [path for path in _listed(store, url) if _matches(path.split("/"), key.split("/"))]
    if not keys:
        raise ManifestError(
            f"no file matches {shown_url(url)}", fix="check the pattern, and quote it in the shell"
        )
    return [_source(store, key) for key in keys]


def remote_folder(url: str) -> list[tuple[str, SourceFile]]:
    """Ids and files of the `.txt` files directly below `url`, which ends with a slash, sorted by name."""
    if url.partition("://")[0].lower() in WEB:
        raise ManifestError(f"{shown_url(url)} is a folder, which web servers do not list", fix="name a file")
    store, _ = _store(url)
    names = [path for path in _listed(store, url) if "/" not in path and is_prompt_file(path)]
    return [(name[: -len(SUFFIX)], _source(store, name)) for name in names]


def _store(url: str) -> tuple[ObjectStore, str]:
    """The store at the last folder that holds no pattern, and the key from there on."""
    obstore = obstore_or_stop()
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in STORES:
        known = ", ".join(f"{name}://" for name in (*STORES, *WEB))
        raise ManifestError(
            f"{scheme}:// is no address of a manifest", fix=f"those that can be read: {known}"
        )
    bucket, *parts = rest.split("/")
    fixed = next((at for at, part in enumerate(parts[:-1]) if is_glob(part)), max(0, len(parts) - 1))
    base = "/".join((bucket, *map(quote, parts[:fixed])))
    options = _CLIENT | {"allow_http": _endpoint_is_http()}
    address = f"{scheme.lower()}://{base}"
    make = partial(obstore.store.from_url, address, client_options=options, retry_config=_RETRIES)
    return request_store(shown_url(url), make), "/".join(parts[fixed:])


def _endpoint_is_http() -> bool:
    """Whether the user has named an endpoint without TLS (MinIO on this machine, for one)."""
    return any(os.environ.get(name, "").lower().startswith("http:") for name in ENDPOINT_VARIABLES)


def _listed(store: ObjectStore, url: str) -> list[str]:
    """All keys below the store's folder, sorted."""
    batches = request_store(shown_url(url), lambda: list(obstore_or_stop().list(store, chunk_size=1000)))
    return sorted(str(found["path"]) for batch in batches for found in batch)


def _matches(path: list[str], pattern: list[str]) -> bool:
    """As pathlib's: `*` stays within a folder, `**` is any number of them."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _source(store: ObjectStore, key: str, held: ObjectMeta | None = None) -> SourceFile:
    """held: what the object must still be; reading another fails."""
    name = printable(PurePosixPath(key).name)

    def meta() -> ObjectMeta:
        return obstore_or_stop().head(store, key)  # type: ignore[no-any-return]

    def opened() -> RemoteFile:
        return RemoteFile(store, key, name, held or request_store(name, meta))

    return SourceFile(
        name,
        lambda: _buffered(opened()),
        lambda: cast("BinaryIO", opened()),
        lambda: remote_state(name, meta),
        lambda: _source(store, key, request_store(name, meta)),
    )


def _web_source(url: str, held: ObjectMeta | None = None) -> SourceFile:
    """One web address; its query goes with every request and into no message. held: as for `_source`."""
    obstore = obstore_or_stop()
    address = url.partition("#")[0]
    options = _CLIENT | {"allow_http": address.lower().startswith("http:")}
    make = partial(obstore.store.HTTPStore.from_url, address, client_options=options, retry_config=_RETRIES)
    store = request_store(shown_url(url), make)
    name = printable(unquote(shown_url(address).rpartition("/")[2]))

    def meta() -> ObjectMeta:
        return obstore.get(store, "").meta  # type: ignore[no-any-return]

    def in_parts() -> RemoteFile:
        return RemoteFile(store, "", name, held or request_store(name, meta))

    def as_stream() -> io.BufferedReader:
        file = in_parts()
        if file.serves_parts():
            return _buffered(file)
        whole = request_store(name, lambda: obstore.get(store, ""))
        return _buffered(RemoteStream(iter(whole.stream(BUFFER_BYTES)), name))

    return SourceFile(
        name,
        as_stream,
        lambda: cast("BinaryIO", in_parts()),
        lambda: remote_state(name, meta),
        lambda: _web_source(url, request_store(name, meta)),
    )


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, BUFFER_BYTES)
