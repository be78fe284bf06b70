"""Remote files as Python's binary files: parts of them on demand, or the whole as it comes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from runner.manifest.records import ManifestError
from runner.manifest.sources import FileState, printable

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore
    from typing_extensions import Buffer

_SECRETS = re.compile(r"\?[^\s\"')]*|(?<=//)[^/@\s]*@")
"""The query of a URL, and user and password before its host."""

Answer = TypeVar("Answer")


def obstore_or_stop() -> Any:
    """The module obstore. Raises ManifestError where it is not installed."""
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


# Not obstore's `open_reader`: it takes no `if_match`, and reads on in a file that has changed meanwhile.
class RemoteFile(io.RawIOBase):
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
        return request_store(self._name, self._answers_with_a_part)

    def _answers_with_a_part(self) -> bool:
        try:
            self._part(0, min(1, self._meta["size"]))
        except obstore_or_stop().exceptions.NotSupportedError:
            return False
        return True

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
        stop = min(self._at + len(view), self._meta["size"])
        data = request_store(self._name, lambda: self._part(self._at, stop))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _part(self, start: int, stop: int) -> memoryview:
        if start >= stop:
            return memoryview(b"")
        options: dict[str, Any] = {"range": (start, stop)}
        if self._meta["e_tag"] is not None:
            options["if_match"] = self._meta["e_tag"]
        return memoryview(obstore_or_stop().get(self._store, self._key, options=options).bytes())


class RemoteStream(io.RawIOBase):
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
            self._rest = memoryview(request_store(self._name, lambda: next(self._chunks, b"")))
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def request_store(name: str, ask: Callable[[], Answer]) -> Answer:
    """What the store answers. Raises ManifestError without a trace of the store's exception: that holds the whole URL."""
    try:
        return ask()
    except (OSError, ValueError, obstore_or_stop().exceptions.BaseError) as error:
        problem, fix = _EXPLAINED.get(
            type(error).__name__, ("", "check the address, the network and the credentials")
        )
        if not problem:
            text = _SECRETS.sub("", str(error).splitlines()[0])
            problem = f"cannot be read: {printable(text)[:300]}"
    raise ManifestError(f"{name} {problem}", fix=fix)


def remote_state(name: str, meta: Callable[[], ObjectMeta]) -> FileState | None:
    """How a remote file is now; None where it is not there. Raises ManifestError where the store does not say."""

    def state() -> FileState | None:
        try:
            found = meta()
        except FileNotFoundError:
            return None
        return FileState(found["size"], found["path"], found["e_tag"] or found["last_modified"])

    return request_store(name, state)


_CREDENTIALS = "set the store's credentials in the environment, AWS_ACCESS_KEY_ID for one"

_EXPLAINED: dict[str, tuple[str, str]] = {
    "FileNotFoundError": ("is not there", "check the address"),
    "PermissionDeniedError": ("may not be read with these credentials", _CREDENTIALS),
    "UnauthenticatedError": ("cannot be read without credentials", _CREDENTIALS),
    "PreconditionError": ("has changed while it was read", "run the command again"),
    "NotSupportedError": ("lies on a server that serves whole files only", "download it and name the file"),
}
"""obstore's exception -> what happened and what to do; the others are shown in the words of the store."""
