"""Which evidence means paid: every line of the table in GUARANTEES.md, with bodies that real services sent."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.classify import Broke, broken, read_error, refused, wait_hint
from schemas.failures import Billed, Failure, FailureKind, Resend, RowStatus

NOW = datetime(2026, 11, 22, 16, 20, tzinfo=UTC).timestamp()

KIND = FailureKind
HTML = "<!DOCTYPE html><html><head><style>b{}</style></head><body><h1>502 Bad Gateway</h1></body></html>"
SAFETY_MESSAGE = (
    "Your request was rejected by the safety system. If you believe this is an error, contact us at "
    "help.openai.com and include the request ID req_f00. safety_violations=[sexual]."
)


def error(
    code: object = None, kind: object = None, message: str = "told", param: object = None
) -> dict[str, Any]:
    """OpenAI's error document."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def seen(status: int, document: Any = None, text: str | None = None, **headers: str) -> Failure:
    """The failure of an answer; its text is the document's unless told."""
    body = text if text is not None else "" if document is None else json.dumps(document)
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return refused(status, lower, document, body, now=NOW, server_error_billed=Billed.NO)


def relayed(message: str, kind: str, status: int = 400) -> dict[str, Any]:
    """The error as the LiteLLM proxy 1.106 hands it on: the status is its `code`, and types other than 400's are its own."""
    return error(
        str(status), kind, f"litellm.BadRequestError: OpenAIException - {message}\n\nLiteLLM: failed."
    )


MODERATION = error("moderation_blocked", "image_generation_user_error", SAFETY_MESSAGE)
WORDS_ONLY = error(None, "upstream_error", SAFETY_MESSAGE)
POLICY = error("content_policy_violation", "invalid_request_error")
USER_ERROR = error(None, "image_generation_user_error")
RELAYED = relayed(SAFETY_MESSAGE, "image_generation_user_error")
AZURE_FILTER = error("contentFilter", None, "Your task failed as a result of our safety system.")
QUOTA = error(
    "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan"
)
RATE = error("rate_limit_exceeded", "requests", "Rate limit reached for gpt-image-2 on input-images per min")
BILLING = error("billing_hard_limit_reached", "invalid_request_error", "Billing hard limit has been reached")
UNVERIFIED = error(
    None,
    "invalid_request_error",
    "Your organization must be verified to use the model `gpt-image-2`. Please go to: https://platform.openai.com",
)
BLOCKED = error(
    "Forbidden",
    None,
    "Your resource has been temporarily blocked because we detected behavior that may violate our content policy.",
)


@pytest.mark.parametrize("status", [400, 429, 451, 500, 503, 200])
@pytest.mark.parametrize("document", [MODERATION, WORDS_ONLY, POLICY, USER_ERROR, AZURE_FILTER, RELAYED])
def test_moderation_under_any_status(status: int, document: dict[str, Any]) -> None:
    failure = seen(status, document)
    assert (failure.kind, failure.maybe_billed) == (KIND.MODERATION, True)
    assert failure.rule.resend is Resend.NEVER
    assert failure.rule.rest is RowStatus.FAILED


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (429, QUOTA),
        (429, error("credit_balance_exhausted", "insufficient_quota")),
        (429, error("organization_spend_limit_exceeded", "insufficient_quota")),
        (429, error("project_spend_limit_exceeded", "billing_error")),
        (429, error("organization_usage_limit_exceeded")),
        (429, error("insufficient_user_quota", "new_api_error")),
        (403, error("insufficient_user_quota", "new_api_error")),
        (400, BILLING),
        (500, error("insufficient_quota")),
        (429, error(None, "insufficient_quota")),
        (402, error("x", "y")),
        (402, {"message": "insufficient balance"}),
        (429, relayed("You exceeded your current quota, please check your plan", "throttling_error")),
        (400, relayed("Billing hard limit has been reached", "invalid_request_error")),
        (402, None),
    ],
)
def test_money_stops_the_run(status: int, document: Any) -> None:
    failure = seen(status, document)
    assert (failure.kind, failure.maybe_billed, failure.rule.halts) == (KIND.QUOTA, False, True)
    assert failure.rule.rest is RowStatus.PENDING


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize(
    "document",
    [
        error(
            "invalid_png_output_compression",
            "image_generation_user_error",
            "Compression less than 100 is not supported for PNG output format",
        ),
        error(
            "invalid_value",
            "image_generation_user_error",
            "Transparent background is not supported",
            "background",
        ),
        relayed("Compression less than 100 is not supported for PNG", "image_generation_user_error"),
    ],
)
def test_what_the_user_has_to_change_is_not_always_the_prompt(status: int, document: dict[str, Any]) -> None:
    failure = seen(status, document)
    assert (failure.kind, failure.maybe_billed) == (KIND.INVALID_REQUEST, False)


def test_a_quota_that_comes_back_is_a_rate_limit() -> None:
    """Gemini's words, 2026: under them a minute's limit and a day's."""
    message = (
        "You exceeded your current quota, please check your plan and billing details. Please retry in 38.9s."
    )
    failure = seen(429, error(429, None, message))
    assert (failure.kind, failure.retry_after_s) == (KIND.RATE_LIMITED, 38.9)


def test_a_litellm_proxy_without_a_database_does_not_say_401() -> None:
    assert seen(400, error("400", "no_db_connection", "No connected db.")).kind is KIND.AUTH


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "slow_down", "tokens_limit_exceeded", None, 429])
def test_a_rate_limit_is_not_money(code: object) -> None:
    failure = seen(429, error(code, "rate_limit_error"))
    assert (failure.kind, failure.maybe_billed, failure.rule.slows) == (KIND.RATE_LIMITED, False, True)


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (401, error("invalid_api_key", "invalid_request_error"), KIND.AUTH),
        (401, None, KIND.AUTH),
        (407, None, KIND.AUTH),
        (403, UNVERIFIED, KIND.FORBIDDEN),
        (403, BLOCKED, KIND.FORBIDDEN),
        (400, BLOCKED, KIND.FORBIDDEN),
        (403, {"error": {"code": "Forbidden", "message": "no"}}, KIND.FORBIDDEN),
        (
            403,
            error(None, None, "The account has been suspended for violations of our content policy"),
            KIND.FORBIDDEN,
        ),
    ],
)
def test_access_stops_the_run(status: int, document: Any, kind: FailureKind) -> None:
    failure = seen(status, document)
    assert (failure.kind, failure.maybe_billed, failure.rule.halts) == (kind, False, True)


@pytest.mark.parametrize("status", [400, 405, 413, 414, 415, 422, 431])
def test_validation_fails_the_row_unpaid(status: int) -> None:
    failure = seen(status, error("invalid_value", "invalid_request_error", param="size"))
    assert (failure.kind, failure.maybe_billed) == (KIND.INVALID_REQUEST, False)
    assert failure.rule.rest is RowStatus.FAILED


@pytest.mark.parametrize("status", [404, 400, 500])
def test_an_unknown_model_is_not_found_under_any_status(status: int) -> None:
    assert seen(status, error("model_not_found", "invalid_request_error")).kind is KIND.NOT_FOUND


@pytest.mark.parametrize("document", [error("DeploymentNotFound"), {"detail": "Not Found"}, None])
def test_404_is_not_found_whatever_it_says(document: Any) -> None:
    failure = seen(404, document)
    assert (failure.kind, failure.maybe_billed) == (KIND.NOT_FOUND, False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_a_redirected_post_found_no_service(status: int) -> None:
    failure = seen(status, text="", location="https://elsewhere.example/v1/images/generations")
    assert (failure.kind, failure.maybe_billed) == (KIND.NOT_FOUND, False)


@pytest.mark.parametrize("code", [None, "server_error", "internal_error", 500])
def test_500_with_the_services_own_json_is_its_own_error(code: object) -> None:
    failure = seen(500, error(code, "server_error", "The server had an error while processing your request."))
    assert (failure.kind, failure.maybe_billed, failure.rule.resend) == (
        KIND.SERVER_ERROR,
        False,
        Resend.COUNTED,
    )


def test_the_profile_says_whether_a_server_error_was_billed() -> None:
    document = error("server_error")
    failure = refused(500, {}, document, "", now=NOW, server_error_billed=Billed.MAYBE)
    assert (failure.kind, failure.maybe_billed) == (KIND.SERVER_ERROR, True)


def test_the_profiles_word_on_server_errors_says_nothing_of_other_kinds() -> None:
    failure = refused(429, {}, RATE, "", now=NOW, server_error_billed=Billed.YES)
    assert (failure.kind, failure.maybe_billed) == (KIND.RATE_LIMITED, False)


def test_503_with_the_services_own_json_is_overload() -> None:
    failure = seen(503, error("server_is_overloaded", "service_unavailable_error"))
    assert (failure.kind, failure.maybe_billed, failure.rule.slows) == (KIND.OVERLOADED, False, True)


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 529, 599, 408, 409])
@pytest.mark.parametrize(
    "text", [HTML, "", "upstream connect error or disconnect/reset before headers", '["x"]']
)
def test_a_gateways_page_is_ambiguous(status: int, text: str) -> None:
    document = json.loads(text) if text.startswith("[") else None
    failure = seen(status, document, text)
    assert (failure.kind, failure.maybe_billed) == (KIND.GATEWAY, True)
    assert (failure.rule.resend, failure.rule.rest) == (Resend.IF_ALLOWED, RowStatus.PARKED)


@pytest.mark.parametrize("status", [408, 409, 502, 504, 520, 524])
def test_json_does_not_make_a_gateways_status_certain(status: int) -> None:
    document = {"error": {"code": "Timeout", "message": "The operation was timeout."}}
    assert seen(status, document).kind is KIND.GATEWAY


@pytest.mark.parametrize(
    ("status", "kind"), [(400, KIND.INVALID_REQUEST), (413, KIND.INVALID_REQUEST), (404, KIND.NOT_FOUND)]
)
def test_a_page_that_refuses_the_request_is_a_refusal(status: int, kind: FailureKind) -> None:
    assert seen(status, text=HTML).kind is kind


@pytest.mark.parametrize(
    "document", [RATE, QUOTA, error("server_error"), {"error": "overloaded"}, {"msg": "busy"}]
)
def test_an_error_under_200_was_paid(document: dict[str, Any]) -> None:
    failure = seen(200, document)
    assert (failure.kind, failure.maybe_billed) == (KIND.BAD_CONTENT, True)


@pytest.mark.parametrize(
    ("how", "status", "kind", "maybe"),
    [
        (Broke.BEFORE_SENDING, None, KIND.CONNECT, False),
        (Broke.TIMEOUT, None, KIND.TIMEOUT, True),
        (Broke.DISCONNECTED, None, KIND.DISCONNECTED, True),
        (Broke.BODY_CUT, 200, KIND.TRUNCATED, True),
        (Broke.BODY_CUT, 201, KIND.TRUNCATED, True),
        (Broke.BODY_CUT, 500, KIND.DISCONNECTED, True),
        (Broke.BODY_CUT, 429, KIND.DISCONNECTED, True),
        (Broke.BODY_CUT, 302, KIND.DISCONNECTED, True),
    ],
)
def test_broken_exchanges(how: Broke, status: int | None, kind: FailureKind, maybe: bool) -> None:
    failure = broken(how, "why", http_status=status)
    assert (failure.kind, failure.maybe_billed, failure.http_status, failure.message) == (
        kind,
        maybe,
        status,
        "why",
    )


def test_every_way_to_break_has_a_kind() -> None:
    assert {broken(how, "x").kind for how in Broke} == {
        KIND.CONNECT,
        KIND.TIMEOUT,
        KIND.DISCONNECTED,
        KIND.TRUNCATED,
    }


@pytest.mark.parametrize(
    ("document", "message", "code", "kind"),
    [
        (error("a_code", "a_type", "text"), "text", "a_code", "a_type"),
        (error(401, None, "text"), "text", "401", None),
        (error(-1, "T", "text"), "text", "-1", "t"),
        (error(False, True, "text"), "text", None, None),
        (error("", "", "text"), "text", None, None),
        ({"error": "prompt required"}, "prompt required", None, None),
        ({"error": "no", "code": 1001, "type": "Relay"}, "no", "1001", "relay"),
        ({"detail": "size is odd"}, "size is odd", None, None),
        ({"detail": [{"loc": ["body", "n"]}]}, "[{'loc': ['body', 'n']}]", None, None),
        ({"code": 422, "message": "bad"}, "bad", "422", None),
        ({"code": "e", "msg": "bad"}, "bad", "e", None),
        ({"error_message": "bad"}, "bad", None, None),
        ({"errors": {"message": "bad"}}, "bad", None, None),
    ],
)
def test_error_documents_of_every_known_shape(
    document: Any, message: str, code: str | None, kind: str | None
) -> None:
    found = read_error(document, json.dumps(document))
    assert (found.message, found.code, found.kind, found.own_json) == (message, code, kind, True)


def test_a_bare_message_is_how_cloud_gateways_speak_and_not_the_services_own_error() -> None:
    found = read_error({"message": "Internal server error"}, "")
    assert (found.message, found.own_json) == ("Internal server error", False)
    failure = refused(
        500, {}, {"message": "Internal server error"}, "", now=0.0, server_error_billed=Billed.NO
    )
    assert failure.kind is KIND.GATEWAY


@pytest.mark.parametrize("document", [None, [], ["error"], "error", 5, {}, {"data": []}, {"error": None}])
def test_documents_that_are_no_error_of_the_service(document: Any) -> None:
    assert read_error(document, "the text").own_json is False
    assert read_error(document, "the text").message == "the text"


def test_a_page_is_shown_as_its_text_on_one_line() -> None:
    assert seen(502, text=HTML).message == "502 Bad Gateway"


def test_a_page_without_text_is_named_by_its_status() -> None:
    assert seen(524, text="<html></html>").message == "HTTP 524 without a message"


def test_a_long_message_is_cut() -> None:
    assert len(seen(400, error(message="x" * 50_000)).message) == 1000


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "message", "detail", "msg", "data", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(100, 999), document=ANY_JSON, text=st.text(max_size=50))
def test_every_answer_has_a_kind_and_a_message(status: int, document: Any, text: str) -> None:
    failure = seen(status, document, text)
    assert failure.http_status == status
    assert failure.message


@given(status=st.integers(300, 999).filter(lambda status: status not in (429, 503)), document=ANY_JSON)
def test_only_proof_makes_an_answer_unpaid_and_sent_again(status: int, document: Any) -> None:
    failure = seen(status, document)
    if failure.rule.resend in (Resend.COUNTED, Resend.PATIENT):
        assert status >= 500
        assert read_error(document, "").own_json


def date(offset_s: float) -> str:
    """An HTTP date so many seconds from NOW."""
    return format_datetime(datetime.fromtimestamp(NOW + offset_s, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "60"}, "try again in 5s", 1.5),
        ({"retry-after": "60"}, "try again in 5s", 60.0),
        ({"retry-after": "0"}, "try again in 5s", 0.0),
        ({"retry-after": "2.5"}, "", 2.5),
        ({"retry-after": " 7 "}, "", 7.0),
        ({"retry-after": "1e9"}, "", 1e9),
        ({"retry-after": date(90)}, "", 90.0),
        ({"retry-after": date(-90)}, "try again in 5s", 5.0),
        ({"retry-after": "Sun, 22 Nov 2026 15:21:30 -0100"}, "", 90.0),
        ({"retry-after": "-5"}, "try again in 5s", 5.0),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": ""}, "", None),
        ({"retry-after": "Mon, 99 Foo 2026 99:99:99 GMT"}, "", None),
        ({"retry-after-ms": "soon", "retry-after": "3"}, "", 3.0),
        ({"retry-after-ms": "-1", "retry-after": "3"}, "", 3.0),
        ({}, "Please try again in 15ms.", 0.015),
        ({}, "try again after 51.84 seconds", 51.84),
        ({}, "Please try again in 1m30s. Visit https://platform.openai.com", 90.0),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Please try again in 1m30.5s.", 90.5),
        ({}, "try again in 1m", 60.0),
        ({}, "Please retry after 20 seconds.", 20.0),
        ({}, "Try again in 12s.", 12.0),
        ({}, "retry in 24.5s", 24.5),
        ({}, "try again in 2 minutes", 120.0),
        ({}, "try again in 2 min", 120.0),
        ({}, "try again in 1 sec", 1.0),
        ({}, "retry after 30", 30.0),
        ({}, "try again in 2 hours", 7200.0),
        ({}, "try again in 1h", 3600.0),
        ({}, "Please try again in 1h12m", 4320.0),
        ({}, "Please try again in 7h12m0.5s", 25_920.5),
        ({}, "try again in 3 days", 259_200.0),
        ({}, "try again in 3 moons", None),
        ({}, "try again in a few minutes", None),
        ({}, "try again later", None),
        ({}, "", None),
    ],
)
def test_wait_hints(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert wait_hint(headers, message, now=NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is not in the zone of HTTP dates."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_does_not_hang_on_this_machines_zone(zone: str) -> None:
    text = f"Sun, 22 Nov 2026 16:21:30 {zone}"
    assert wait_hint({"retry-after": text}, "", now=NOW) == 90.0


def test_a_refusal_carries_the_services_hint() -> None:
    assert seen(429, RATE, retry_after="17").retry_after_s == 17.0
    assert seen(503, error(message="try again in 3s")).retry_after_s == 3.0


HEADER = st.text(max_size=30) | st.floats().map(str) | st.integers().map(str)


@given(
    headers=st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), HEADER),
    message=st.text(max_size=60) | st.text(max_size=20).map("try again in {}".format),
)
def test_a_hint_is_finite_and_not_negative(headers: dict[str, str], message: str) -> None:
    seconds = wait_hint(headers, message, now=NOW)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(st.integers(-(10**7), 10**8))
def test_a_date_is_a_wait_from_now(offset_s: int) -> None:
    assert wait_hint({"retry-after": date(offset_s)}, "", now=NOW) == (offset_s if offset_s >= 0 else None)
