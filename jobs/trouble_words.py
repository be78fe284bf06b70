"""Why a run waits, in words for people: what the last failure was."""

from __future__ import annotations

from schemas.failures import Failure, FailureKind

_MOST_CHARS = 120
_NO_CONNECTION = "no connection: "
_WORDS = {
    FailureKind.RATE_LIMITED: "service busy",
    FailureKind.OVERLOADED: "service overloaded",
    FailureKind.SERVER_ERROR: "service reports an error of its own",
    FailureKind.NOT_AN_API: "a web page answers, not an API",
    FailureKind.AUTH: "key refused",
    FailureKind.FORBIDDEN: "account refused",
    FailureKind.QUOTA: "no money or quota left",
    FailureKind.TIMEOUT: "requests get no answer in time",
    FailureKind.DISCONNECTED: "connections break before the answer",
    FailureKind.GATEWAY: "a gateway answers for the service",
    FailureKind.TRUNCATED: "answers break off",
}


def trouble_text(failure: Failure) -> str:
    """`service busy (429)`, `cannot connect (Name or service not known)`: a few words, on one line."""
    if failure.kind is FailureKind.CONNECT:
        return f"cannot connect ({_cause(failure.message)})"
    words = _WORDS.get(failure.kind, failure.rule.meaning)
    return words if failure.http_status is None else f"{words} ({failure.http_status})"


def _cause(message: str) -> str:
    """What the system says of a connection, without the host that the user has named."""
    text = " ".join(message.removeprefix(_NO_CONNECTION).split())
    if text.startswith("Cannot connect to host ") and ": " in text:
        text = text.partition(": ")[2]
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"
