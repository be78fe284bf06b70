"""Connections that break, stall or drip, and bodies without end."""

from __future__ import annotations

from tests.attacks.faults.expectation import (
    BAD_CONTENT_LOST,
    DISCONNECTED,
    SUCCESS,
    TIMEOUT,
    TRUNCATED,
    Fault,
    grouped,
)
from tests.attacks.faults.marker import write

BROKE = "evidence: timeout, reset, disconnect after the headers were written: maybe billed, ambiguous, parked"
CUT = "evidence: 200 seen, body cut or framing broken: paid, parked as truncated"
KEPT = "G2: a response that was received is kept as an image"
DEADLINE = "G12: every attempt ends by a deadline; " + BROKE
BOUNDED = "G11: memory and bytes are bounded; a response with more than max_image_bytes is not kept whole"

CAP_AND_BUFFERS = 48 * 2**20
"""Most the server can have handed over when the client stops at 8 MiB: the rest may lie in socket buffers."""

BREAKS = (
    Fault("reset_unread", "RST before the request is read", write("reset_unread"), (DISCONNECTED,), BROKE),
    Fault("reset_read", "read and charged, then RST", write("reset_read"), (DISCONNECTED,), BROKE),
    Fault("close_silent", "read and charged, then FIN", write("silent_close"), (DISCONNECTED,), BROKE),
    Fault("head_cut_in_version", "FIN after 'HTTP/1'", write("part_of_head", at=6), (DISCONNECTED,), BROKE),
    Fault(
        "head_cut_in_status",
        "FIN after the status line",
        write("part_of_head", at=17),
        (DISCONNECTED, TRUNCATED),
        BROKE,
    ),
    Fault(
        "head_cut_in_headers",
        "FIN in the middle of the headers",
        write("part_of_head", at=60),
        (DISCONNECTED, TRUNCATED),
        BROKE,
    ),
    Fault(
        "head_reset",
        "RST in the middle of the headers",
        write("part_of_head", at=60, how="reset"),
        (DISCONNECTED, TRUNCATED),
        BROKE,
    ),
    *(
        Fault(f"body_cut_{at}", f"FIN after {at} of the body", write("cut", at=at), (TRUNCATED,), CUT)
        for at in ("0", "1", "30", "1000", "middle", "image_end", "last")
    ),
    *(
        Fault(
            f"body_reset_{at}",
            f"RST after {at} of the body",
            write("cut", at=at, how="reset"),
            (TRUNCATED, DISCONNECTED),
            CUT,
        )
        for at in ("0", "middle", "last")
    ),
)

TIMES = (
    Fault("never_answers", "read and charged, no byte of an answer", write("never"), (TIMEOUT,), DEADLINE),
    Fault("stall_after_head", "the head, then nothing", write("stall", at=0), (TRUNCATED, TIMEOUT), DEADLINE),
    Fault(
        "stall_in_body",
        "half of the body, then nothing",
        write("stall", at=0.5),
        (TRUNCATED, TIMEOUT),
        DEADLINE,
    ),
    Fault(
        "drip_head",
        "the head, a byte every half second",
        write("drip", part="head", every=0.5),
        (TIMEOUT,),
        DEADLINE,
    ),
    Fault(
        "drip_body",
        "the body, a byte every half second",
        write("drip", part="body", every=0.5),
        (TRUNCATED, TIMEOUT),
        DEADLINE,
    ),
    *(
        Fault(
            f"drip_{seconds}_s",
            f"the body, {size} bytes every 20 ms: never silent, done after {seconds} s of four",
            write("drip", part="body", size=size, every=0.02),
            (TRUNCATED, TIMEOUT),
            "--timeout: one attempt, from send to last byte; " + DEADLINE,
        )
        for size, seconds in ((30, 8), (10, 24))
    ),
    Fault(
        "late_answer",
        "a picture after a second",
        write("late", after=1),
        (SUCCESS,),
        "latency drifting from 0 to 280 s (scaled)",
    ),
    Fault(
        "later_answer",
        "a picture after two seconds of three",
        write("late", after=2),
        (SUCCESS,),
        "latency drifting from 0 to 280 s (scaled)",
    ),
    Fault("in_pieces", "a picture in 20 pieces", write("pieces", count=20), (SUCCESS,), KEPT),
    Fault(
        "in_crumbs",
        "a picture in 40 pieces, the first within the head",
        write("pieces", count=40),
        (SUCCESS,),
        KEPT,
    ),
)

SIZES = (
    Fault(
        "endless_2gb",
        "2 GB declared and sent",
        write("endless"),
        (TRUNCATED, BAD_CONTENT_LOST),
        BOUNDED,
        max_sent_bytes=CAP_AND_BUFFERS,
    ),
    Fault(
        "endless_chunked",
        "chunks without end",
        write("endless", declared=0),
        (TRUNCATED, BAD_CONTENT_LOST),
        BOUNDED,
        max_sent_bytes=CAP_AND_BUFFERS,
    ),
    Fault(
        "gzip_bomb", "10 MB that inflate to 10 GB", write("gzip_bomb"), (TRUNCATED, BAD_CONTENT_LOST), BOUNDED
    ),
)


FAULTS = (
    *grouped("break", BREAKS, response_format="b64_json"),
    *grouped("time", TIMES, response_format="b64_json"),
    *grouped("size", SIZES, response_format="b64_json"),
)
