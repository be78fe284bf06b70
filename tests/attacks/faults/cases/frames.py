"""Answers whose content is good and whose HTTP is broken, or unusual."""

from __future__ import annotations

from tests.attacks.faults.expectation import (
    BAD_CONTENT_LOST,
    DISCONNECTED,
    GATEWAY,
    SUCCESS,
    TIMEOUT,
    TRUNCATED,
    Fault,
    grouped,
)
from tests.attacks.faults.marker import write

BROKE = "evidence: timeout, reset, disconnect after the headers were written: maybe billed, ambiguous, parked"
CUT = "evidence: 200 seen, body cut or framing broken: paid, parked as truncated"
WHOLE = "a whole document in broken framing is a whole document"
KEPT = "G2: a response that was received is kept as an image"
DEADLINE = "G12: every attempt ends by a deadline; " + BROKE
UNUSABLE = "evidence: 200 whole, content unusable: quarantine, row failed"


def _frame(kind: str, **args: object) -> str:
    return write("frame", kind=kind, **args)


SOUND = tuple(
    Fault(f"frame_{kind}", does, _frame(kind, **({"keep": 1} if kept else {})), (SUCCESS,), KEPT)
    for kind, does, kept in (
        ("chunks", "a chunked body, connection kept", True),
        ("chunk_extensions", "chunk extensions and a trailer", True),
        ("http10", "HTTP/1.0, ended by FIN", False),
        ("http10_length", "HTTP/1.0 with a length", False),
        ("unframed", "neither length nor chunks, ended by FIN", False),
        ("interim", "100 and 103 before the 200", True),
        ("second_answer", "the answer, then one that nobody asked for", True),
        ("many_headers", "about 100 header lines", True),
        ("odd_reason", "no reason phrase", True),
        ("no_type", "no Content-Type", True),
        ("html_type", "a good document called text/html", True),
        ("latin_type", "a charset that does not exist", True),
        ("identity", "Content-Encoding: identity", True),
        ("created_201", "201 instead of 200", True),
    )
)

_UNREADABLE_HEAD = (DISCONNECTED, TRUNCATED, GATEWAY)

BROKEN = (
    *(
        Fault(
            f"{kind}_at_once",
            f"{does}, in one piece with the head",
            _frame(kind, at_once=1),
            (TRUNCATED, DISCONNECTED, BAD_CONTENT_LOST),
            CUT,
        )
        for kind, does in (
            ("length_short", "64 bytes more than the length says"),
            ("chunk_size_nonsense", "a chunk size that is no number"),
            ("chunk_size_vast", "a chunk size of 24 hex digits"),
        )
    ),
    Fault(
        "frame_garbage_after",
        "the answer and garbage in one piece, on a kept connection",
        _frame("garbage_after", keep=1),
        (SUCCESS, TRUNCATED, DISCONNECTED),
        "G2 when the reader gets the body; " + CUT,
    ),
    Fault(
        "frame_gzip",
        "gzip although identity was asked",
        _frame("gzip", keep=1),
        (SUCCESS, BAD_CONTENT_LOST),
        KEPT,
    ),
    Fault("length_long", "a length of 64 bytes more than come", _frame("length_long"), (SUCCESS,), WHOLE),
    Fault(
        "length_short",
        "a length of 64 bytes less than come",
        _frame("length_short"),
        (TRUNCATED, BAD_CONTENT_LOST),
        CUT,
    ),
    Fault("length_twice", "two lengths that differ", _frame("length_twice"), (TRUNCATED, DISCONNECTED), CUT),
    Fault(
        "length_nonsense", "Content-Length: a lot", _frame("length_nonsense"), (TRUNCATED, DISCONNECTED), CUT
    ),
    Fault("length_negative", "Content-Length: -5", _frame("length_negative"), (TRUNCATED, DISCONNECTED), CUT),
    Fault(
        "both_framings",
        "a length and chunks",
        _frame("both_framings", keep=1),
        (TRUNCATED, DISCONNECTED, SUCCESS),
        CUT,
    ),
    Fault("chunks_cut", "FIN in the middle of the chunks", _frame("chunks_cut"), (TRUNCATED,), CUT),
    Fault(
        "chunks_without_end",
        "every chunk but the last, empty one",
        _frame("chunks_without_end"),
        (SUCCESS,),
        WHOLE,
    ),
    Fault(
        "chunk_size_nonsense",
        "a chunk size that is no number",
        _frame("chunk_size_nonsense"),
        (TRUNCATED,),
        CUT,
    ),
    Fault("chunk_size_negative", "a chunk size below zero", _frame("chunk_size_negative"), (TRUNCATED,), CUT),
    Fault("chunk_size_vast", "a chunk size of 24 hex digits", _frame("chunk_size_vast"), (TRUNCATED,), CUT),
    Fault(
        "unframed_cut",
        "half a body, ended by FIN, no framing at all",
        _frame("unframed_cut"),
        (TRUNCATED, BAD_CONTENT_LOST),
        CUT,
    ),
    Fault(
        "unframed_open",
        "no framing, and the connection stays open",
        _frame("unframed_cut", keep=1),
        (TRUNCATED, TIMEOUT),
        DEADLINE,
    ),
    Fault("status_garbage", "HTTZ/9.9 OK then", _frame("status_garbage"), _UNREADABLE_HEAD, BROKE),
    Fault("status_negative", "status -200", _frame("status_negative"), _UNREADABLE_HEAD, BROKE),
    Fault("status_zero", "status 000", _frame("status_zero", keep=1), _UNREADABLE_HEAD, BROKE),
    Fault("binary", "bytes that are no HTTP", _frame("binary"), _UNREADABLE_HEAD, BROKE),
    Fault("tls_alert", "a TLS alert", _frame("tls_alert"), _UNREADABLE_HEAD, BROKE),
    Fault(
        "header_control",
        "NUL in a header",
        _frame("header_control", keep=1),
        (*_UNREADABLE_HEAD, SUCCESS),
        BROKE,
    ),
    Fault(
        "header_fold", "a folded header", _frame("header_fold", keep=1), (*_UNREADABLE_HEAD, SUCCESS), BROKE
    ),
    Fault(
        "huge_header",
        "a header of 200 kB",
        _frame("huge_header", keep=1),
        (*_UNREADABLE_HEAD, SUCCESS),
        "G11; " + BROKE,
    ),
    Fault(
        "switching",
        "101 Switching Protocols",
        _frame("switching"),
        (*_UNREADABLE_HEAD, BAD_CONTENT_LOST),
        BROKE,
    ),
    Fault(
        "no_content",
        "204 without a body",
        _frame("no_content", keep=1),
        (BAD_CONTENT_LOST, GATEWAY),
        UNUSABLE,
    ),
    Fault(
        "gzip_lie",
        "called gzip, is none",
        _frame("gzip_lie", keep=1),
        (TRUNCATED, BAD_CONTENT_LOST, SUCCESS),
        CUT,
    ),
    Fault(
        "gzip_cut", "a gzip stream that ends early", _frame("gzip_cut"), (TRUNCATED, BAD_CONTENT_LOST), CUT
    ),
    Fault(
        "brotli_lie",
        "called br, is none",
        _frame("brotli_lie", keep=1),
        (TRUNCATED, BAD_CONTENT_LOST, SUCCESS, DISCONNECTED),
        CUT,
    ),
)


FAULTS = (
    *grouped("odd HTTP", SOUND, response_format="b64_json"),
    *grouped("broken HTTP", BROKEN, response_format="b64_json"),
)
