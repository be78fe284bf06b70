"""Reading the error in a document, whatever its shape: its text, its code, and every other word that tells its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jobs.error_words import is_content

_MOST_CHARS = 4000
"""Of a text that is searched for words."""
_MOST_WORDS = 40
_MOST_WORD_CHARS = 200
_TEXTS = ("detail", "message", "msg", "error_message", "error_msg", "errmsg", "fail_reason")
_ALSO = ("status", "reason", "name", "error_code", "fail_code", "blockReason", "block_reason")
"""Fields whose value is a word like a code, beside `code` and `type`."""
_INNER = ("innererror", "inner_error", "metadata", "details", "base_resp")
_FINE = frozenset(
    {
        *("0", "200", "201", "202", "00000", "10000", "ok", "success", "succeeded", "successful"),
        *("completed", "complete", "done", "finished"),
    }
)
"""What a code or a status says where nothing went wrong."""
_STATUS_CODES = {
    1002: "rate_limit_exceeded",
    1004: "invalid_api_key",
    1008: "insufficient_balance",
    1026: "sensitive",
    1027: "sensitive",
    1039: "rate_limit_exceeded",
    1041: "rate_limit_exceeded",
    2013: "invalid_parameter",
    2049: "invalid_api_key",
    2056: "quota_exhausted",
}
"""`base_resp.status_code` of MiniMax (platform.minimax.io, error codes), in words."""
_PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_PREAMBLES = (("<!--", "-->"), ("<?xml", ">"))
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,300})", re.IGNORECASE)


class ReportedError(NamedTuple):
    """What an error document says: its text, `code` and `type` as lower-case text, None where absent.

    own_json: the service's own JSON error was found (else a gateway's page or nothing). words: code, type and every
    other word of the kind, lower case.
    """

    message: str
    code: str | None
    kind: str | None
    own_json: bool
    words: frozenset[str] = frozenset()

    @property
    def http_status(self) -> int | None:
        """The HTTP status that the code names; None where it names none of an error."""
        code = self.code
        return int(code) if code is not None and re.fullmatch(r"[45][0-9]{2}", code) else None


def read_error(document: Any, text: str) -> ReportedError:
    """The error in a document of any known shape: OpenAI's, a plain string, lists, FastAPI's `detail`, relays' `msg`."""
    if isinstance(document, Mapping):
        for shape in (_in_error, _in_numbers, _in_fields, _in_candidates):
            found = shape(document)
            if found is not None:
                return found._replace(
                    message=found.message[:_MOST_CHARS],
                    words=found.words | {word for word in (found.code, found.kind) if word},
                )
    return ReportedError(page_text(text), None, None, False)


def _in_error(document: Mapping[str, Any]) -> ReportedError | None:
    """`error` or `errors`: an object, a text, or a list of such."""
    error = document.get("error", document.get("errors"))
    beside = frozenset(_words_of(document))
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, Mapping) and error:
        inner = ReportedError(_text_of(error), _word(error.get("code")), _word(error.get("type")), True)
        return inner._replace(words=frozenset(_words_of(error)) | beside)
    if isinstance(error, str) and error:
        return ReportedError(error, _word(document.get("code")), _word(document.get("type")), True, beside)
    return None


def _in_numbers(document: Mapping[str, Any]) -> ReportedError | None:
    """`base_resp`, which counts from 0."""
    status = document.get("base_resp")
    number = status.get("status_code") if isinstance(status, Mapping) else None
    if not isinstance(status, Mapping) or not isinstance(number, int) or number == 0:
        return None
    return ReportedError(
        str(status.get("status_msg") or number), str(number), _STATUS_CODES.get(number), True
    )


def _in_fields(document: Mapping[str, Any]) -> ReportedError | None:
    """A text at the top, under one of the names in use. A bare `message` is how cloud gateways speak, not services."""
    for name in _TEXTS:
        if document.get(name):
            text, first = _detail(document[name])
            own = name != "message" or "code" in document or document.get("success") is False
            words = frozenset((*_words_of(document), *_words_of(first)))
            kind = _word(document.get("type")) or _word(first.get("type"))
            return ReportedError(text, _word(document.get("code")), kind, own, words)
    return None


def _detail(value: Any) -> tuple[str, Mapping[str, Any]]:
    """The text of a `detail`, and its first entry where it has such (pydantic, fal)."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, Mapping):
        return (value if isinstance(value, str) else repr(value)[:_MOST_CHARS]), {}
    text = first.get("msg", first.get("message"))
    if not isinstance(text, str):
        return repr(value)[:_MOST_CHARS], first
    location = first.get("loc")
    where = ".".join(map(str, location))[:_MOST_WORD_CHARS] if isinstance(location, list) else ""
    return (f"{where}: {text}" if where else text), first


def _in_candidates(document: Mapping[str, Any]) -> ReportedError | None:
    """Answers of language models whose content was filtered (Gemini, Imagen, chat completions)."""
    feedback = document.get("promptFeedback", document.get("prompt_feedback"))
    if isinstance(feedback, Mapping) and (reason := _word(feedback.get("blockReason"))):
        text = feedback.get("blockReasonMessage")
        message = text if isinstance(text, str) else f"the prompt was blocked: {reason}"
        return ReportedError(message, reason, "content_filter", True)
    for entry in _entries(document):
        filtered = entry.get("raiFilteredReason")
        if isinstance(filtered, str) and filtered:
            return ReportedError(filtered, None, "content_filter", True)
        reason = _word(entry.get("finishReason", entry.get("finish_reason")))
        if reason is not None and is_content({reason}, reason, ""):
            text = entry.get("finishMessage")
            message = text if isinstance(text, str) else f"no image was made: {reason}"
            return ReportedError(message, reason, None, True)
    return None


def _entries(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in ("candidates", "choices", "predictions", "artifacts"):
        entries = document.get(name)
        if isinstance(entries, list):
            yield from (entry for entry in entries[:_MOST_WORDS] if isinstance(entry, Mapping))


def _text_of(error: Mapping[str, Any]) -> str:
    message = error.get("message", error.get("msg"))
    text = message if isinstance(message, str) else repr(dict(error))[:_MOST_CHARS]
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    return f"{text}: {raw[:_MOST_CHARS]}" if isinstance(raw, str) and raw else text


def _words_of(error: Mapping[str, Any], depth: int = 2) -> Iterator[str]:
    """Words like a code, at the top and in what is inside it."""
    for name in ("code", "type", *_ALSO):
        if word := _word(error.get(name)):
            yield word
    if "flagged_input" in error:
        yield "flagged_input"
    if depth == 0:
        return
    for name in _INNER:
        inner = error.get(name)
        for each in inner[:_MOST_WORDS] if isinstance(inner, list) else [inner]:
            if isinstance(each, Mapping):
                yield from _words_of(each, depth - 1)


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or value is None or value == "":
        return None
    return str(value)[:_MOST_WORD_CHARS].lower() if isinstance(value, str | float) else _whole(value)


def _whole(value: Any) -> str | None:
    """A whole number as text; of one that is longer than any code, nothing."""
    return str(value) if isinstance(value, int) and abs(value) < 10**18 else None


def is_error(document: Any) -> bool:
    """Whether a document under 2xx, which holds no image, is an error: it says what went wrong."""
    if not isinstance(document, Mapping):
        return False
    if document.get("success") is False or document.get("error") or document.get("errors"):
        return True
    error = read_error(document, "")
    if not error.own_json:
        return bool(document.get("message")) and "data" not in document
    return not error.words & _FINE and error.message.strip().lower() not in _FINE


def is_page(text: str) -> bool:
    """Whether the text is a web page."""
    text = text.lstrip("\ufeff \t\r\n")
    while (end := next((end for start, end in _PREAMBLES if text.startswith(start)), None)) is not None:
        text = text.partition(end)[2].lstrip()
    return _PAGE.match(text) is not None


def title_of(page: str) -> str:
    """The title of a web page on one line; "" where it has none."""
    found = _TITLE.search(page)
    return " ".join(found[1].split())[:100] if found else ""


def page_text(text: str) -> str:
    """A page's text on one line, tags, scripts and styles dropped."""
    kept, at = [], 0
    text = text[:20_000]
    lower = text.lower()
    while (found := _next_script(lower, at)) is not None:
        start, name = found
        kept.append(text[at:start])
        end = lower.find(f"</{name}", start)
        at = len(text) if end < 0 else end
    kept.append(text[at:])
    return " ".join(re.sub(r"<[^<>]{0,500}>", " ", " ".join(kept)).split())[:300]


def _next_script(lower: str, at: int) -> tuple[int, str] | None:
    found = [(start, name) for name in ("script", "style") if (start := lower.find(f"<{name}", at)) >= 0]
    return min(found) if found else None
