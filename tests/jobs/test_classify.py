"""Which evidence means paid: every line of the table in GUARANTEES.md, with bodies that real services sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.brake import ACCOUNT_KINDS, WRONG_PLACE_KINDS
from jobs.classify import BreakKind, classify_break, classify_refusal
from jobs.error_documents import read_error
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
    return classify_refusal(status, lower, document, body, now=NOW, server_error_billed=Billed.NO)


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
    assert (failure.kind, failure.maybe_billed, failure.kind in ACCOUNT_KINDS) == (KIND.QUOTA, False, True)


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
    assert (failure.kind, failure.maybe_billed, failure.kind in ACCOUNT_KINDS) == (kind, False, True)


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
    failure = classify_refusal(500, {}, document, "", now=NOW, server_error_billed=Billed.MAYBE)
    assert (failure.kind, failure.maybe_billed) == (KIND.SERVER_ERROR, True)


def test_the_profiles_word_on_server_errors_says_nothing_of_other_kinds() -> None:
    failure = classify_refusal(429, {}, RATE, "", now=NOW, server_error_billed=Billed.YES)
    assert (failure.kind, failure.maybe_billed) == (KIND.RATE_LIMITED, False)


def test_503_with_the_services_own_json_is_overload() -> None:
    failure = seen(503, error("server_is_overloaded", "service_unavailable_error"))
    assert (failure.kind, failure.maybe_billed, failure.rule.slows) == (KIND.OVERLOADED, False, True)


NO_DOCUMENT = (HTML, "", "upstream request failed", '["x"]')


def without_document(status: int, text: str) -> Failure:
    return seen(status, json.loads(text) if text.startswith("[") else None, text)


@pytest.mark.parametrize("status", [500, 501, 502, 504, 520, 522, 524, 599, 408, 409, 499, 444])
@pytest.mark.parametrize("text", NO_DOCUMENT)
def test_a_gateways_page_is_ambiguous(status: int, text: str) -> None:
    failure = without_document(status, text)
    assert (failure.kind, failure.maybe_billed) == (KIND.GATEWAY, True)
    assert (failure.rule.resend, failure.rule.rest) == (Resend.IF_ALLOWED, RowStatus.PARKED)


@pytest.mark.parametrize("status", [425, 503, 521, 523, 525, 526, 529, 530])
@pytest.mark.parametrize("text", NO_DOCUMENT)
def test_a_page_of_a_gateway_that_did_not_reach_the_service_is_waited_for(status: int, text: str) -> None:
    failure = without_document(status, text)
    assert (failure.kind, failure.maybe_billed) == (KIND.OVERLOADED, False)
    assert (failure.rule.resend, failure.rule.slows) == (Resend.PATIENT, True)


ENVOY = "upstream connect error or disconnect/reset before headers. "


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ENVOY + "reset reason: connection termination", KIND.GATEWAY),
        (ENVOY + "retried and the latest reset reason: remote reset", KIND.GATEWAY),
        (ENVOY + "reset reason: connection failure", KIND.OVERLOADED),
        (ENVOY + "reset reason: overflow", KIND.OVERLOADED),
        ("<html><title>Application Error</title>An error occurred in the application</html>", KIND.GATEWAY),
        ("no healthy upstream", KIND.OVERLOADED),
    ],
)
def test_a_503_of_a_gateway_that_had_handed_the_request_on_is_ambiguous(text: str, kind: FailureKind) -> None:
    assert seen(503, text=text).kind is kind


@pytest.mark.parametrize("status", [503, 529, 425])
@pytest.mark.parametrize(
    "document",
    [
        error(
            "model_not_found",
            "new_api_error",
            "No available channel for model gpt-image-1 under group default",
        ),
        error(None, "one_api_error", "no channel"),
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        error("insufficient_quota", "new_api_error", "upstream has no quota"),
        {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}},
    ],
)
def test_overloaded_is_what_the_status_says_whatever_the_code(status: int, document: dict[str, Any]) -> None:
    failure = seen(status, document)
    assert (failure.kind, failure.maybe_billed, failure.rule.resend) == (
        KIND.OVERLOADED,
        False,
        Resend.PATIENT,
    )


@pytest.mark.parametrize("status", [200, 500])
def test_a_service_that_names_itself_overloaded_is_waited_for(status: int) -> None:
    document = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    failure = seen(status, document)
    assert (failure.kind, failure.maybe_billed) == (KIND.OVERLOADED, False)


@pytest.mark.parametrize("status", [408, 409, 499, 502, 504, 520, 522, 524])
def test_json_does_not_make_a_gateways_status_certain(status: int) -> None:
    document = {"error": {"code": "Timeout", "message": "The operation was timeout."}}
    assert seen(status, document).kind is KIND.GATEWAY


@pytest.mark.parametrize(
    ("status", "kind"), [(400, KIND.INVALID_REQUEST), (413, KIND.INVALID_REQUEST), (404, KIND.NOT_FOUND)]
)
def test_a_page_that_refuses_the_request_is_a_refusal(status: int, kind: FailureKind) -> None:
    assert seen(status, text=HTML).kind is kind


UNDER_200: list[tuple[dict[str, Any], FailureKind]] = [
    (RATE, KIND.RATE_LIMITED),
    ({"code": 429, "msg": "slow down"}, KIND.RATE_LIMITED),
    ({"code": "429", "message": "busy", "data": None}, KIND.RATE_LIMITED),
    (
        {"base_resp": {"status_code": 1002, "status_msg": "rate limit exceeded(RPM), retry later"}},
        KIND.RATE_LIMITED,
    ),
    ({"base_resp": {"status_code": 1002, "status_msg": "x"}}, KIND.RATE_LIMITED),
    ({"error": "Too many requests, please try again later"}, KIND.RATE_LIMITED),
    ({"message": "Too Many Requests"}, KIND.RATE_LIMITED),
    ({"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded"}, KIND.RATE_LIMITED),
    (QUOTA, KIND.QUOTA),
    ({"code": -1, "message": "insufficient user quota", "data": None}, KIND.QUOTA),
    ({"code": 402, "msg": "x"}, KIND.QUOTA),
    ({"code": 1, "msg": "余额不足，请充值"}, KIND.QUOTA),
    ({"base_resp": {"status_code": 1008, "status_msg": "x"}}, KIND.QUOTA),
    ({"code": 401, "msg": "invalid api key", "data": None}, KIND.AUTH),
    ({"code": 1001, "msg": "API key is invalid"}, KIND.AUTH),
    (error("invalid_api_key", "invalid_request_error", "Incorrect API key provided"), KIND.AUTH),
    ({"success": False, "message": "Unauthorized"}, KIND.AUTH),
    ({"code": 403, "msg": "no"}, KIND.FORBIDDEN),
    (error("permission_denied", None, "no"), KIND.FORBIDDEN),
    ({"code": 1, "msg": "your account has been suspended"}, KIND.FORBIDDEN),
    ({"code": 404, "msg": "x"}, KIND.NOT_FOUND),
    (error("model_not_found", None, "no such model"), KIND.NOT_FOUND),
    ({"code": 400, "msg": "bad size"}, KIND.INVALID_REQUEST),
    (error(None, "invalid_request_error", "bad size"), KIND.INVALID_REQUEST),
    ({"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}, KIND.INVALID_REQUEST),
    ({"code": 503, "msg": "x"}, KIND.OVERLOADED),
    ({"code": 500, "msg": "x"}, KIND.SERVER_ERROR),
    ({"code": 504, "msg": "x"}, KIND.GATEWAY),
    (error("server_error"), KIND.GATEWAY),
    ({"error": {"message": "Upstream request failed", "type": "upstream_error"}}, KIND.GATEWAY),
    ({"error": "overloaded"}, KIND.GATEWAY),
    ({"msg": "busy"}, KIND.GATEWAY),
    ({"success": False, "data": {}}, KIND.GATEWAY),
    ({"base_resp": {"status_code": 1000, "status_msg": "unknown error"}}, KIND.GATEWAY),
    ({"created": 1, "data": []}, KIND.BAD_CONTENT),
    ({"code": 0, "msg": "ok", "data": []}, KIND.BAD_CONTENT),
    ({"code": 200, "message": "success", "data": []}, KIND.BAD_CONTENT),
    ({"code": "success", "message": "", "data": None}, KIND.BAD_CONTENT),
    ({"base_resp": {"status_code": 0, "status_msg": "success"}, "data": {}}, KIND.BAD_CONTENT),
]


@pytest.mark.parametrize(("document", "kind"), UNDER_200)
def test_an_error_document_under_200_is_what_it_would_be_under_its_own_status(
    document: dict[str, Any], kind: FailureKind
) -> None:
    failure = seen(200, document)
    assert failure.kind is kind
    assert failure.http_status == 200
    assert failure.message


def test_what_an_error_under_200_says_is_told() -> None:
    assert seen(200, {"base_resp": {"status_code": 1000, "status_msg": "unknown error, 1000"}}).message == (
        "unknown error, 1000"
    )
    assert seen(200, {"code": -1, "message": "insufficient user quota", "data": None}).code == "-1"


@pytest.mark.parametrize("status", [200, 400, 403, 413, 500, 502])
@pytest.mark.parametrize(
    "document",
    [
        RATE,
        {"error": {"message": "Upstream rate limit exceeded, please retry later", "type": "upstream_error"}},
        {"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}},
        {"detail": "Request was throttled. Expected available in 2 seconds."},
    ],
)
def test_a_rate_limit_is_one_under_any_status(status: int, document: dict[str, Any]) -> None:
    failure = seen(status, document)
    assert (failure.kind, failure.maybe_billed, failure.rule.slows) == (KIND.RATE_LIMITED, False, True)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "document",
    [
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
            }
        },
        error("invalid_api_key"),
        {"error": {"code": 400, "message": "x", "details": [{"reason": "API_KEY_INVALID"}]}},
    ],
)
def test_a_refused_key_stops_the_run_also_where_it_comes_as_a_bad_request(status: int, document: Any) -> None:
    assert seen(status, document).kind is KIND.AUTH


def test_a_relay_whose_own_key_is_refused_upstream_has_an_error_of_its_own() -> None:
    assert seen(500, {"error": {"message": "upstream: invalid api key"}}).kind is KIND.SERVER_ERROR


@pytest.mark.parametrize(
    ("status", "document", "text", "kind"),
    [
        (405, None, HTML, KIND.NOT_FOUND),
        (405, {"detail": "Method Not Allowed"}, "", KIND.NOT_FOUND),
        (405, error("invalid_value"), "", KIND.INVALID_REQUEST),
    ],
)
def test_a_path_that_takes_no_requests_is_not_found(
    status: int, document: Any, text: str, kind: FailureKind
) -> None:
    assert seen(status, document, text).kind is kind


@pytest.mark.parametrize(
    ("how", "status", "kind", "maybe"),
    [
        (BreakKind.BEFORE_SENDING, None, KIND.CONNECT, False),
        (BreakKind.TIMEOUT, None, KIND.TIMEOUT, True),
        (BreakKind.DISCONNECTED, None, KIND.DISCONNECTED, True),
        (BreakKind.BODY_CUT, 200, KIND.TRUNCATED, True),
        (BreakKind.BODY_CUT, 201, KIND.TRUNCATED, True),
        (BreakKind.BODY_CUT, 500, KIND.DISCONNECTED, True),
        (BreakKind.BODY_CUT, 429, KIND.DISCONNECTED, True),
        (BreakKind.BODY_CUT, 302, KIND.DISCONNECTED, True),
    ],
)
def test_broken_exchanges(how: BreakKind, status: int | None, kind: FailureKind, maybe: bool) -> None:
    failure = classify_break(how, "why", http_status=status)
    assert (failure.kind, failure.maybe_billed, failure.http_status, failure.message) == (
        kind,
        maybe,
        status,
        "why",
    )


def test_every_way_to_break_has_a_kind() -> None:
    assert {classify_break(how, "x").kind for how in BreakKind} == {
        KIND.CONNECT,
        KIND.TIMEOUT,
        KIND.DISCONNECTED,
        KIND.TRUNCATED,
    }


def test_a_bare_message_is_how_cloud_gateways_speak_and_not_the_services_own_error() -> None:
    found = read_error({"message": "Internal server error"}, "")
    assert (found.message, found.own_json) == ("Internal server error", False)
    failure = classify_refusal(
        500, {}, {"message": "Internal server error"}, "", now=0.0, server_error_billed=Billed.NO
    )
    assert failure.kind is KIND.GATEWAY


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


NOT_TAKEN = frozenset({425, 429, 503, 521, 523, 525, 526, 529, 530})


@given(status=st.integers(300, 999).filter(lambda status: status not in NOT_TAKEN), document=ANY_JSON)
def test_only_proof_makes_an_answer_unpaid_and_sent_again(status: int, document: Any) -> None:
    failure = seen(status, document)
    of_the_run = ACCOUNT_KINDS | WRONG_PLACE_KINDS
    if failure.rule.resend in (Resend.COUNTED, Resend.PATIENT) and failure.kind not in of_the_run:
        assert status >= 500
        assert read_error(document, "").own_json


def test_a_refusal_carries_the_services_hint() -> None:
    assert seen(429, RATE, retry_after="17").retry_after_s == 17.0
    assert seen(503, error(message="try again in 3s")).retry_after_s == 3.0
