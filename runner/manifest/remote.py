"""Manifests in object stores and behind http(s), through obstore (the extra `imagemill[cloud]`).

Addresses: `s3://bucket/key` and the like, the key taken literally but for `*`, `?` and `[…]`, which make it a pattern;
`https://host/path?query`. Credentials and endpoints come from the environment that obstore documents (`AWS_…`).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urlsplit

from runner.job_text import is_glob
from runner.manifest.plaintext import SUFFIX, is_prompt_file
from runner.manifest.records import ManifestError
from runner.manifest.sources import Source, printable

if TYPE_CHECKING:
    from typing import BinaryIO

    from obstore import ObjectMeta
    from obstore.store import ObjectStore
    from typing_extensions import Buffer

STORES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
WEB = ("http", "https")

BUFFER_BYTES = 1024 * 1024
"""What one request for a part of a text file asks for."""

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AZURE_ENDPOINT")

_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_CLIENT: Any = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "1day"}
"""A whole answer may take long, for a manifest is read while images are made; silence may not."""

_QUERY = re.compile(r"\?[^\s\"')]*")


def shown_url(url: str) -> str:
    """The URL for messages: without user, password, query and fragment, for they may be secrets."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() in WEB:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return printable(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}")


def remote_sources(url: str) -> list[Source]:
    """The file at `url`, or the files that match it, sorted. Raises ManifestError where there is none."""
    with _failures(shown_url(url)):
        if url.partition("://")[0].lower() in WEB:
            return [_web_source(url)]
        store, key = _store(url)
        if not key:
            raise ManifestError(
                f"{shown_url(url)} names no file", fix="add the file's path, or a slash for a folder"
            )
        if not is_glob(key):
            return [_source(store, key)]
        keys = [path for path in _listed(store) if _matches(path.split("/"), key.split("/"))]
    if not keys:
        raise ManifestError(
            f"no file matches {shown_url(url)}", fix="check the pattern, and quote it in the shell"
        )
    return [_source(store, key) for key in sorted(keys)]


def remote_folder(url: str) -> list[tuple[str, Source]]:
    """Ids and files of the `.txt` files directly below `url`, which ends with a slash, sorted by name."""
    with _failures(shown_url(url)):
        store, _ = _store(url)
        names = sorted(path for path in _listed(store) if "/" not in path and is_prompt_file(path))
    return [(name[: -len(SUFFIX)], _source(store, name)) for name in names]


def _obstore() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise ManifestError(
            "reading a manifest from a URL needs obstore, which is not installed",
            fix="pip install 'imagemill[cloud]'",
        ) from error
    return obstore


def _store(url: str) -> tuple[ObjectStore, str]:
    """The store at the last folder that holds no pattern, and the key from there on."""
    obstore = _obstore()
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in STORES:
        known = ", ".join(f"{name}://" for name in (*STORES, *WEB))
        raise ManifestError(
            f"{scheme}:// is no address of a manifest", fix=f"those that can be read: {known}"
        )
    bucket, *parts = rest.split("/")
    fixed = next((at for at, part in enumerate(parts[:-1]) if is_glob(part)), max(0, len(parts) - 1))
    base = "/".join((bucket, *map(quote, parts[:fixed])))
    store = obstore.store.from_url(
        f"{scheme.lower()}://{base}",
        client_options=_CLIENT | {"allow_http": _endpoint_is_http()},
        retry_config=_RETRIES,
    )
    return store, "/".join(parts[fixed:])


def _endpoint_is_http() -> bool:
    """Whether the user has named an endpoint without TLS (MinIO on this machine, for one)."""
    return any(os.environ.get(name, "").lower().startswith("http:") for name in ENDPOINT_VARIABLES)


def _listed(store: ObjectStore) -> Iterator[str]:
    for batch in _obstore().list(store, chunk_size=1000):
        for found in batch:
            yield str(found["path"])


def _matches(path: list[str], pattern: list[str]) -> bool:
    """As pathlib's: `*` stays within a folder, `**` is any number of them."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _source(store: ObjectStore, key: str) -> Source:
    name = printable(PurePosixPath(key).name)

    def opened() -> _RemoteFile:
        with _failures(name):
            return _RemoteFile(store, key, name, _obstore().head(store, key))

    return Source(name, lambda: _buffered(opened()), lambda: cast("BinaryIO", opened()))


def _web_source(url: str) -> Source:
    """One web address; its query goes with every request and into no message."""
    obstore = _obstore()
    address = url.partition("#")[0]
    options = _CLIENT | {"allow_http": address.lower().startswith("http:")}
    store = obstore.store.HTTPStore.from_url(address, client_options=options, retry_config=_RETRIES)
    name = printable(PurePosixPath(unquote(urlsplit(address).path)).name) or shown_url(url)

    def in_parts() -> _RemoteFile:
        with _failures(name):
            return _RemoteFile(store, "", name, obstore.get(store, "").meta)

    def as_stream() -> io.BufferedReader:
        file = in_parts()
        if file.serves_parts():
            return _buffered(file)
        with _failures(name):
            return _buffered(_RemoteStream(iter(obstore.get(store, "").stream(BUFFER_BYTES)), name))

    return Source(name, as_stream, lambda: cast("BinaryIO", in_parts()))


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, BUFFER_BYTES)


class _RemoteFile(io.RawIOBase):
    """A file read in parts, each by a request that fails where the file has changed since it was opened."""

    def __init__(self, store: ObjectStore, key: str, name: str, meta: ObjectMeta) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._name = name
        self._meta = meta
        self._at = 0

    def serves_parts(self) -> bool:
        """Whether the server answers with the part that is asked for."""
        try:
            return len(self._part(0, min(1, self._meta["size"]))) <= 1
        except _obstore().exceptions.NotSupportedError:
            return False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._meta["size"]}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        with _failures(self._name):
            data = self._part(self._at, min(self._at + len(view), self._meta["size"]))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _part(self, start: int, stop: int) -> memoryview:
        if start >= stop:
            return memoryview(b"")
        options = {"range": (start, stop), "if_match": self._meta["e_tag"]}
        return memoryview(_obstore().get(self._store, self._key, options=options).bytes())


class _RemoteStream(io.RawIOBase):
    """A whole file from a server that does not serve parts."""

    def __init__(self, chunks: Iterator[Any], name: str) -> None:
        super().__init__()
        self._chunks = chunks
        self._name = name
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if not self._rest:
            with _failures(self._name):
                self._rest = memoryview(next(self._chunks, b""))
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


@contextmanager
def _failures(name: str) -> Iterator[None]:
    """Turns what obstore raises into a `ManifestError`, without the URL's query."""
    try:
        yield
    except _obstore().exceptions.BaseError as error:
        problem, fix = _EXPLAINED.get(type(error).__name__, ("", "check the address, and the network"))
        if not problem:
            problem = f"cannot be read: {_QUERY.sub('?…', str(error).splitlines()[0])[:300]}"
        raise ManifestError(f"{name} {problem}", fix=fix) from None


_CREDENTIALS = "set the store's credentials in the environment, AWS_ACCESS_KEY_ID for one"

_EXPLAINED: dict[str, tuple[str, str]] = {
    "PermissionDeniedError": ("may not be read with these credentials", _CREDENTIALS),
    "UnauthenticatedError": ("cannot be read without credentials", _CREDENTIALS),
    "PreconditionError": ("has changed while it was read", "run the command again"),
    "NotSupportedError": ("lies on a server that serves whole files only", "download it and name the file"),
}
"""obstore's exception -> what happened and what to do; the others are shown in the words of the store."""
