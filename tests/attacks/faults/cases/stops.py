"""Faults that stop a run or concern all of it. Each gets a small run of its own."""

from __future__ import annotations

from tests.attacks.faults.expectation import (
    DISCONNECTED,
    GATEWAY,
    MANY,
    NONE,
    NOT_FOUND,
    ONE,
    SERVER_ERROR,
    SUCCESS,
    UNSENT,
    Alone,
    End,
    Fault,
    after,
    grouped,
    halted,
    unsent,
)
from tests.attacks.faults.marker import write

MONEY = "evidence: codes that mean money: not billed, stop the run, in-flight ones finish; exit 4"
ACCESS = "evidence: 401; 403 access, unverified or blocked: not billed, stop the run; exit 4"
DOWN = "the run pauses, and ends with exit 5 if the service stays down; rows stay pending with that kind"
LONG = "a longer Retry-After than --give-up also ends the run: exit 5"

_STEADY = ("--concurrency", "4", "--rpm", "1200")
"""A request every 50 ms."""

_NEVER_ANSWERED = End("parked", "disconnected", requests=NONE, billed=ONE, quarantine=None)
_NEVER_SEEN = End("parked", "interrupted", requests=NONE, billed=ONE, quarantine=None)

_FAST = ("--give-up", "2s")


def _stop(name: str, does: str, code: int, body: str, kind: str, why: str) -> Fault:
    return Fault(name, does, write("status", code=code, body=body), _refused(kind), why, alone=_REFUSED)


_REFUSED = Alone(frozenset({4}), copies=6, after=0, others=(SUCCESS,), total_requests=(8, 21))
"""Three images, then refusals alone."""


def _refused(kind: str) -> tuple[End, ...]:
    return (halted(kind), *unsent(kind))


def _service_down(exits: set[int], kind: str, *options: str, copies: int = 1) -> Alone:
    others = (SUCCESS, *unsent(kind))
    return Alone(frozenset(exits), options=(*_FAST, *options), copies=copies, others=others)


ACCOUNT = (
    _stop("quota", "429 insufficient_quota", 429, "insufficient_quota", "quota", MONEY),
    _stop("quota_credit", "429 credit_balance_exhausted", 429, "credit_balance", "quota", MONEY),
    _stop(
        "quota_organization",
        "429 organization_spend_limit_exceeded",
        429,
        "organization_spend",
        "quota",
        MONEY,
    ),
    _stop("quota_project", "429 project_spend_limit_exceeded", 429, "project_spend", "quota", MONEY),
    _stop("quota_usage", "429 organization_usage_limit_exceeded", 429, "organization_usage", "quota", MONEY),
    _stop("quota_hard_limit", "400 billing_hard_limit_reached", 400, "hard_limit", "quota", MONEY),
    _stop("quota_user_429", "429 insufficient_user_quota", 429, "user_quota", "quota", MONEY),
    _stop("quota_user_403", "403 insufficient_user_quota", 403, "user_quota", "quota", MONEY),
    _stop("quota_402", "402 insufficient balance", 402, "balance", "quota", MONEY),
    _stop("quota_402_nothing", "402 without a body", 402, "nothing", "quota", MONEY),
    _stop("key_wrong", "401", 401, "invalid", "auth", ACCESS),
    _stop("forbidden_verify", "403 organization must be verified", 403, "verify", "forbidden", ACCESS),
    _stop("forbidden_blocked", "403 blocked for repeated violations", 403, "blocked", "forbidden", ACCESS),
    Fault(
        "key_revoked",
        "the key stops working in the middle, and is repeated in the error",
        write("revoke"),
        (halted("auth"),),
        ACCESS,
        alone=Alone(
            frozenset({4}), before=10, after=10, others=(SUCCESS, *unsent("auth")), total_requests=(1, 40)
        ),
    ),
    Fault(
        "quota_under_200",
        "insufficient_quota under 200",
        write("body", kind="quota_200", paid=0),
        _refused("quota"),
        "evidence: money, which stops the run, also as an error document under 200",
        alone=_REFUSED,
    ),
    Fault(
        "key_under_200",
        '{"code": 401, "msg": ...} under 200',
        write("body", kind="key_200", paid=0),
        _refused("auth"),
        "evidence: a refused key stops the run, also as an error document under 200",
        alone=_REFUSED,
    ),
    Fault(
        "key_refused_to_one",
        "401 for one row alone",
        write("status", code=401, body="invalid"),
        (End("failed", "auth", requests=(3, 3)),),
        "evidence: where others succeed, the row is sent again, bounded",
        alone=Alone(frozenset({3}), others=(SUCCESS,)),
    ),
    Fault(
        "not_found_thrice",
        "404 model_not_found for every row",
        write("status", code=404, body="model"),
        (NOT_FOUND, halted("not_found"), *unsent("not_found")),
        "evidence: 404 on model or path three times running: stop the run (exit 4)",
        alone=Alone(
            frozenset({4}),
            before=0,
            copies=12,
            after=0,
            options=("--concurrency", "1"),
            total_requests=(3, 3),
        ),
    ),
)

REFUSING = (
    Fault(
        "throttled_for_ever",
        "429 without a hint, always",
        write("status", code=429, body="rate_limit"),
        (End("pending", "rate_limited", requests=(2, MANY)),),
        DOWN,
        alone=_service_down({5}, "rate_limited"),
    ),
    Fault(
        "throttled_500_times",
        "the first 500 requests of the run get 429 with tiny hints, the others pictures",
        write("status", code=429, body="rate_limit", hint="tiny", first=500),
        (
            End("succeeded", requests=(1, MANY)),
            End("pending", "rate_limited", requests=(1, MANY)),
            UNSENT,
        ),
        "429 for 500 times running: all succeed, or the run ends with exit 5 and the rows stay pending; none fails",
        alone=Alone(
            frozenset({0, 5}),
            before=0,
            copies=500,
            after=0,
            options=("--concurrency", "16", "--give-up", "15s"),
            total_requests=(1, 1000),
        ),
    ),
    Fault(
        "retry_after_a_day",
        "429, Retry-After: 86400",
        write("status", code=429, body="rate_limit", hint="huge"),
        (halted("rate_limited"),),
        LONG,
        alone=Alone(frozenset({5}), others=(SUCCESS, *unsent("rate_limited")), total_requests=(1, 6)),
    ),
    Fault(
        "overloaded_for_ever",
        "503 with JSON, always",
        write("status", code=503, body="overloaded"),
        (End("pending", "overloaded", requests=(2, MANY)),),
        DOWN,
        alone=_service_down({5}, "overloaded"),
    ),
    Fault(
        "everybody_waits",
        "429, Retry-After: 2, in the middle of 40 rows",
        write("status", code=429, body="rate_limit", hint="two", times=1),
        (after(2),),
        "evidence: 429: all senders wait (one gate)",
        alone=Alone(frozenset({0}), before=10, after=30, others=(SUCCESS,), silence_s=2.0),
        wait_s=2.0,
    ),
    Fault(
        "errors_everywhere",
        "500 with JSON for every row",
        write("status", code=500, body="server_error"),
        (
            SERVER_ERROR,
            End("failed", "server_error", requests=(1, 3)),
            End("pending", "server_error", requests=(1, 3)),
            UNSENT,
        ),
        "retries bounded: attempts 3, at most 10 % of requests, then the run pauses",
        alone=Alone(frozenset({3, 5}), options=_FAST, before=0, copies=20, after=0, total_requests=(1, 60)),
    ),
    Fault(
        "gateway_everywhere",
        "502 page for every row; every image made",
        write("status", code=502, body="html", paid=1),
        (GATEWAY, UNSENT, End("pending", "gateway", requests=NONE)),
        "G5: ambiguity is never hidden, nothing is sent again by itself",
        alone=Alone(frozenset({3, 5}), options=_FAST, before=0, copies=20, after=0, total_requests=(1, 20)),
    ),
)

CONNECTIONS = (
    Fault(
        "service_down",
        "nothing listens at the base URL",
        "",
        (End("pending", "connect", requests=NONE), UNSENT),
        "connect: never sent, not billed; exit 5 when the service stays down",
        alone=Alone(
            frozenset({5}),
            options=_FAST,
            before=0,
            copies=5,
            after=0,
            down=True,
            unseen=True,
            total_requests=NONE,
        ),
    ),
    Fault(
        "reset_on_accept",
        "RST for the first three connections, before a byte is read",
        "",
        (SUCCESS, _NEVER_ANSWERED),
        "evidence: reset; maybe billed once the headers were written, retried when they were not",
        alone=Alone(
            frozenset({0, 3}),
            before=0,
            copies=10,
            after=0,
            accept="reset,reset,reset",
            unseen=True,
            total_requests=(7, 10),
        ),
    ),
    Fault(
        "close_on_accept",
        "FIN for the first three connections, before a byte is read",
        "",
        (SUCCESS, _NEVER_ANSWERED),
        "evidence: disconnect; maybe billed once the headers were written, retried when they were not",
        alone=Alone(
            frozenset({0, 3}),
            before=0,
            copies=10,
            after=0,
            accept="close,close,close",
            unseen=True,
            total_requests=(7, 10),
        ),
    ),
    *(
        Fault(
            f"kept_connections_{how}",
            f"every connection is said to be kept, and ends ({how}) right after its answer",
            write("drop_after", how=how, wait=0.005),
            (SUCCESS,),
            "send: fresh or young connection: nothing is parked for a connection that died in our hands",
            alone=Alone(
                frozenset({0}),
                before=0,
                copies=40,
                after=0,
                options=_STEADY,
                unseen=True,
                total_requests=(40, 40),
            ),
        )
        for how in ("close", "reset")
    ),
    Fault(
        "kept_connections_race",
        "every connection is said to be kept, and ends just when the next request is due",
        write("drop_after", wait=0.05),
        (SUCCESS, _NEVER_SEEN),
        "send: fresh or young connection; at worst the row is parked and counted",
        alone=Alone(frozenset({0, 3}), before=0, copies=40, after=0, options=_STEADY, unseen=True),
    ),
)

_AGAIN = ("--on-ambiguous", "retry", "--ambiguous-budget", "2")

DECLARED = (
    Fault(
        "ambiguous_budget",
        "charged and reset once, on five rows; the user allows two to be sent again",
        write("reset_read", times=1),
        (End("succeeded", requests=(2, 2), billed=ONE), DISCONNECTED),
        "G5: `retry` sends again at most the declared budget; both are counted as maybe billed",
        alone=Alone(
            frozenset({3}),
            options=(*_AGAIN, "--set", "run.max_unusable=0"),
            before=0,
            copies=5,
            after=3,
            others=(SUCCESS,),
            total_requests=(10, 10),
        ),
    ),
)

FAULTS = (
    *grouped("account", ACCOUNT, response_format="b64_json"),
    *grouped("refusing", REFUSING, response_format="b64_json"),
    *grouped("connections", CONNECTIONS, response_format="b64_json"),
    *grouped("declared", DECLARED, response_format="b64_json"),
)
