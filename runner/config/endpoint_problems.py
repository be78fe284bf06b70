"""Mistakes in what a job says of the wire: headers and paths that would not arrive as they are meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.job import EndpointTable

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name, as RFC 9110 has it."""
_OF_HTTP = frozenset(
    {
        *("host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding"),
        *("te", "trailer", "upgrade", "expect", "keep-alive", "accept", "accept-encoding", "user-agent"),
        *("idempotency-key", "cookie", "range", "date", "via", "max-forwards"),
    }
)
"""Headers that HTTP or imagemill itself sends. A key in their place would change what the request is."""
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})+")
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
_LEGAL = "letters, digits and -._~!$&'()*+,;=:@/; others as %XX"


def header_fault(name: str) -> str | None:
    """What is wrong with the name of a header for the key; None when nothing is."""
    if _TOKEN.fullmatch(name) is None:
        return "must be the name of a header: letters, digits and hyphens, without a colon or a value"
    if name.lower() in _OF_HTTP or name.lower().startswith(("proxy-", "sec-")):
        return "is a header that HTTP itself needs; name the one in which the service takes its key"
    return None


def path_fault(path: str, *, may_have_query: bool = False, from_root: bool = False) -> str | None:
    """What is wrong with a path below the base URL, or with from_root below the host; None when nothing is."""
    way, mark, query = path.partition("?")
    if mark and not may_have_query:
        return "must not hold a query: see endpoint.task.submit_query"
    if _PATH.fullmatch(way) is None or _QUERY.fullmatch(query) is None:
        return f"must hold only what a URL may: {_LEGAL}"
    if way.startswith("/" * (1 + from_root)) or ".." in way.split("/"):
        return "must be below the base URL" + (
            ", or begin with one / to be below the host" if from_root else ""
        )
    return None


def endpoint_problems(endpoint: EndpointTable) -> Iterator[tuple[str, str]]:
    """Dotted key and what is wrong with its value."""
    if endpoint.key_header is not None and (fault := header_fault(endpoint.key_header)) is not None:
        yield "endpoint.key_header", fault
    task = endpoint.task
    if task is None:
        return
    if task.submit_path is not None and (fault := path_fault(task.submit_path)) is not None:
        yield "endpoint.task.submit_path", fault
    if task.poll_path is not None:
        if "{id}" not in task.poll_path:
            yield "endpoint.task.poll_path", "must hold {id}, where the task's id goes"
        path = task.poll_path.replace("{id}", "id")
        if (fault := path_fault(path, may_have_query=True, from_root=True)) is not None:
            yield "endpoint.task.poll_path", fault
