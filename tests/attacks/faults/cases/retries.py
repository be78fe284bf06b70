"""Refusals that pass, redirects, and answers before the body was read."""

from __future__ import annotations

from tests.attacks.faults.expectation import (
    GATEWAY,
    INVALID,
    NOT_FOUND,
    SERVER_ERROR,
    SUCCESS,
    Fault,
    after,
    grouped,
)
from tests.attacks.faults.marker import write

VALIDATION = "evidence: 400/404/413/415/422 validation: not billed, row failed"
OWN_500 = "evidence: 500 with the service's own JSON error: not billed by default, retry, bounded"
LATER = "evidence: 429 rate limit, 503 or 529 with the service's own JSON, whatever its code: not billed, wait, retry"
NOT_REACHED = (
    "evidence: 503 page of a gateway, 521, 523, 525, 526: the origin was not reached: not billed, wait, retry"
)
HINTED = "retries obey retry-after-ms, Retry-After (seconds or date), 'try again in' in the message"
IGNORED = "retries: floored, nonsense ignored"


def _status(code: int, body: str, **args: object) -> str:
    return write("status", code=code, body=body, **args)


RETRIED = (
    Fault(
        "server_error_once",
        "500 with JSON once, then a picture",
        _status(500, "server_error", times=1),
        (after(2),),
        OWN_500,
    ),
    Fault(
        "server_error_twice",
        "500 with JSON twice, then a picture",
        _status(500, "server_error", times=2),
        (after(3),),
        OWN_500,
    ),
    Fault(
        "server_error_always",
        "500 with JSON each time",
        _status(500, "server_error"),
        (SERVER_ERROR,),
        OWN_500,
    ),
    Fault("overloaded_twice", "503 with JSON twice", _status(503, "overloaded", times=2), (after(3),), LATER),
    Fault(
        "no_channel_twice",
        "503 model_not_found twice",
        _status(503, "no_channel", times=2),
        (after(3),),
        LATER,
    ),
    *(
        Fault(
            f"page_{code}_once",
            f"{code} with a page, once",
            _status(code, "html", times=1),
            (after(2),),
            NOT_REACHED,
        )
        for code in (503, 521, 523, 525, 526)
    ),
    Fault(
        "overloaded_529_once", "529 with JSON, once", _status(529, "overloaded", times=1), (after(2),), LATER
    ),
    Fault("too_early_425_once", "425, once", _status(425, "nothing", times=1), (after(2),), NOT_REACHED),
    Fault("slow_down", "429 slow_down once", _status(429, "slow_down", times=1), (after(2),), LATER),
    Fault(
        "throttled_5",
        "429 five times: more than --attempts",
        _status(429, "rate_limit", hint="tiny", times=5),
        (after(6),),
        "--attempts counts safe failures only; a 429 is patience",
    ),
    Fault(
        "retry_after_seconds",
        "429, Retry-After: 1",
        _status(429, "rate_limit", hint="seconds", times=1),
        (after(2),),
        HINTED,
        wait_s=1.0,
    ),
    Fault(
        "retry_after_float",
        "429, Retry-After: 0.7",
        _status(429, "rate_limit", hint="float", times=1),
        (after(2),),
        HINTED,
        wait_s=0.7,
    ),
    Fault(
        "retry_after_ms",
        "429, retry-after-ms: 600 beside Retry-After: 40",
        _status(429, "rate_limit", hint="ms", times=1),
        (after(2),),
        HINTED,
        wait_s=0.6,
    ),
    Fault(
        "retry_after_date",
        "429, a date two seconds ahead",
        _status(429, "rate_limit", hint="date", times=1),
        (after(2),),
        HINTED,
        wait_s=0.9,
    ),
    Fault(
        "retry_message_ms",
        "429, 'try again in 700ms' in the text",
        _status(429, "wait_ms", times=1),
        (after(2),),
        HINTED,
        wait_s=0.7,
    ),
    Fault(
        "retry_message_s",
        "429, 'try again after 0.9 seconds'",
        _status(429, "wait_s", times=1),
        (after(2),),
        HINTED,
        wait_s=0.9,
    ),
    *(
        Fault(
            f"retry_after_{hint}",
            f"429 with a {hint} hint",
            _status(429, "rate_limit", hint=hint, times=1),
            (after(2),),
            IGNORED,
        )
        for hint in ("none", "past", "nonsense", "negative", "infinite", "nan", "zero", "digits")
    ),
    Fault(
        "overloaded_hint",
        "503 with JSON, Retry-After: 1",
        _status(503, "overloaded", hint="seconds", times=1),
        (after(2),),
        HINTED,
        wait_s=1.0,
    ),
)

REDIRECTED = tuple(
    Fault(
        f"redirect_{code}_{to}",
        f"{code} to {'another listener' if to == 'abroad' else 'another path'}",
        write("redirect", code=code, to=to),
        (NOT_FOUND, INVALID, GATEWAY),
        "send: no redirects followed; G13",
    )
    for code, to in (
        (301, "abroad"),
        (302, "abroad"),
        (303, "home"),
        (307, "abroad"),
        (308, "abroad"),
        (307, "home"),
    )
)

EARLY = (
    Fault(
        "early_413",
        "413 before the body is read",
        write("early", code=413),
        (INVALID,),
        VALIDATION,
        pad=30_000,
    ),
    Fault(
        "early_200",
        "the picture before the body is read",
        write("early", code=200),
        (SUCCESS,),
        "G2: what came is kept",
        pad=30_000,
    ),
)


FAULTS = (
    *grouped("retry", RETRIED, response_format="b64_json"),
    *grouped("redirect", REDIRECTED, response_format="b64_json"),
    *grouped("early", EARLY, response_format="b64_json"),
)
