"""Refusals that concern one row: 4xx, moderation, gateways."""

from __future__ import annotations

from tests.attacks.faults.expectation import (
    GATEWAY,
    INVALID,
    MODERATED,
    NOT_FOUND,
    SERVER_ERROR,
    TIMEOUT,
    End,
    Fault,
    grouped,
)
from tests.attacks.faults.marker import write

VALIDATION = "evidence: 400/404/413/415/422 validation: not billed, row failed"
SAFETY = "evidence: moderation wording under any status: maybe billed, row failed, never sent again by itself"
NO_JSON = "evidence: 408, 409, 499, 500/502/504/520/522/524 without the service's JSON: maybe billed, ambiguous, parked"


def _status(code: int, body: str, **args: object) -> str:
    return write("status", code=code, body=body, **args)


REJECTIONS = (
    *(
        Fault(
            f"status_{code}",
            f"{code} with the service's own JSON error",
            _status(code, "invalid"),
            (INVALID,),
            VALIDATION,
        )
        for code in (400, 405, 413, 415, 422)
    ),
    Fault("status_404_model", "404: no such model", _status(404, "model"), (NOT_FOUND,), VALIDATION),
    Fault("status_404_html", "404 with a page", _status(404, "html"), (NOT_FOUND, GATEWAY), VALIDATION),
    Fault("status_400_html", "400 with a page", _status(400, "html"), (INVALID, GATEWAY), VALIDATION),
    Fault("status_413_html", "413 with a page", _status(413, "html"), (INVALID, GATEWAY), VALIDATION),
    Fault(
        "status_400_nothing", "400 without a body", _status(400, "nothing"), (INVALID, GATEWAY), VALIDATION
    ),
    Fault(
        "unknown_parameter",
        "400: response_format is unknown",
        _status(400, "unknown_parameter"),
        (INVALID,),
        VALIDATION,
    ),
    Fault("error_int_code", "400 whose code is a number", _status(400, "int_code"), (INVALID,), VALIDATION),
    Fault("error_plain", '400 {"error": "text"}', _status(400, "plain_error"), (INVALID,), VALIDATION),
    Fault("error_detail", '422 {"detail": "text"}', _status(422, "detail"), (INVALID,), VALIDATION),
    Fault("error_detail_list", '422 {"detail": [...]}', _status(422, "detail_list"), (INVALID,), VALIDATION),
    Fault("error_msg", '422 {"code": 422, "msg": "..."}', _status(422, "msg"), (INVALID,), VALIDATION),
    Fault("error_array", "400 with a JSON array", _status(400, "array"), (INVALID, GATEWAY), VALIDATION),
    Fault(
        "error_deep",
        "400 with 50,000 nested objects, cut",
        _status(400, "deep"),
        (INVALID, GATEWAY),
        VALIDATION,
    ),
    Fault(
        "error_large",
        "400 with 2 MB of message",
        _status(400, "large"),
        (INVALID,),
        "G11: memory is bounded; " + VALIDATION,
    ),
    Fault(
        "error_escapes",
        "400 with terminal escapes and markup",
        _status(400, "escapes"),
        (INVALID,),
        "messages are data: no escape reaches the terminal",
    ),
    Fault(
        "error_key_echo",
        "400 that repeats the key",
        _status(400, "key_echo"),
        (INVALID,),
        "G14: the key is in no file or log",
    ),
    Fault(
        "gateway_key_echo",
        "502 page that repeats the key",
        _status(502, "key_echo_html"),
        (GATEWAY,),
        "G14; " + NO_JSON,
    ),
    Fault(
        "header_key_echo",
        "400 with the key in its headers",
        write("key_in_header"),
        (INVALID,),
        "G14: also in request_id",
    ),
    Fault(
        "status_501",
        "501 with JSON",
        _status(501, "server_error"),
        (SERVER_ERROR, End("failed", "server_error"), INVALID, GATEWAY),
        "every 4xx and 5xx",
    ),
)

MODERATION = (
    Fault(
        "moderation_200",
        "the safety error under 200",
        write("body", kind="moderation_200"),
        (MODERATED,),
        SAFETY,
    ),
    *(
        Fault(
            f"moderation_{code}",
            f"the safety error under {code}",
            _status(code, "moderation_blocked", paid=1),
            (MODERATED,),
            SAFETY,
        )
        for code in (400, 451, 500)
    ),
    Fault(
        "moderation_words_500",
        "safety wording alone, under 500",
        _status(500, "safety_words", paid=1),
        (MODERATED,),
        SAFETY,
    ),
    Fault(
        "moderation_words_429",
        "safety wording alone, under 429",
        _status(429, "safety_words", paid=1),
        (MODERATED,),
        SAFETY,
    ),
    *(
        Fault(f"moderation_{body}_{code}", does, _status(code, body), (MODERATED,), SAFETY)
        for code, body, does in (
            (403, "flagged", "the row's 403: flagged by moderation"),
            (403, "refused_list", "403 with a name and a list of errors"),
            (422, "nsfw", "422 nsfw"),
            (500, "sensitive", "500 sensitive_words_detected"),
            (400, "inspection", "400 DataInspectionFailed, in no `error`"),
        )
    ),
    Fault(
        "moderation_policy",
        "400 content_policy_violation",
        _status(400, "content_policy"),
        (MODERATED,),
        SAFETY,
    ),
)

AMBIGUOUS = (
    *(
        Fault(
            f"gateway_{code}_html",
            f"{code} with a page; the image was made",
            _status(code, "html", paid=1),
            (GATEWAY,),
            NO_JSON,
        )
        for code in (500, 502, 504, 520, 522, 524)
    ),
    *(
        Fault(
            f"gateway_{code}_json",
            f"{code} with JSON; the image was made",
            _status(code, "timeout", paid=1),
            (GATEWAY, TIMEOUT),
            NO_JSON,
        )
        for code in (408, 504, 524)
    ),
    Fault(
        "gateway_408_html",
        "408 with a page; the image was made",
        _status(408, "html", paid=1),
        (GATEWAY, TIMEOUT),
        NO_JSON,
    ),
    Fault(
        "closed_499",
        "499 with JSON; the image was made",
        _status(499, "timeout", paid=1),
        (GATEWAY,),
        NO_JSON,
    ),
    Fault(
        "conflict_409",
        "409 with JSON; the image was made",
        _status(409, "conflict", paid=1),
        (GATEWAY,),
        NO_JSON,
    ),
    Fault(
        "gateway_502_json", "502 with JSON", _status(502, "server_error"), (GATEWAY, SERVER_ERROR), NO_JSON
    ),
    Fault("gateway_500_text", "500 with plain text", _status(500, "text", paid=1), (GATEWAY,), NO_JSON),
    Fault("gateway_500_nothing", "500 without a body", _status(500, "nothing", paid=1), (GATEWAY,), NO_JSON),
    Fault("gateway_500_null", "500 with null", _status(500, "null", paid=1), (GATEWAY,), NO_JSON),
    Fault("gateway_502_nothing", "502 without a body", _status(502, "nothing", paid=1), (GATEWAY,), NO_JSON),
)


FAULTS = (
    *grouped("rejection", REJECTIONS, response_format="b64_json"),
    *grouped("moderation", MODERATION, response_format="b64_json"),
    *grouped("ambiguous", AMBIGUOUS, response_format="b64_json"),
)
