"""The words in which services refuse: what a code or a text says of content, money, keys, pace and fields.

Codes are lower case, as `jobs.error_documents` gives them. Each table was read from the services' own documents and from
public client code in November 2026; a new spelling is one more word here and one more recorded answer in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Set

USER_ERROR = "image_generation_user_error"
"""OpenAI's type for all that the user has to change: most often the prompt, which is meant where no `code` says more;
`invalid_png_output_compression` and `invalid_value` (no transparency for this model) come under it too."""

_CONTENT_CODES = re.compile(
    r"moderat|content_?(?:polic|filter|violat|restrict|blocked|rejected|security)|contentfilter|polic\w*_?violat|"
    r"safety|nsfw|sensitive|inappropriate|data_?inspection|responsible_?ai|prohibited_?content|illegal_?detected|"
    r"risk_?(?:control|not_?pass|detect)|banned_?(?:prompt|word)|flagged|unsafe|recitation|blocklist|\bspii\b"
)
_NOT_OF_CONTENT = re.compile(r"unavailable|time(?:d_)?out|unsupported|unknown|invalid|not_enabled|internal")
"""`moderation_timeout` and `invalid_moderation` are about the filter, not of it."""
_CONTENT_TEXT = re.compile(
    r"safety[_ ](?:violation|system|filter|polic|guideline|check|reason|error|setting)|"
    r"content[_ ](?:safety |security )?(?:polic|moderat|filter|guideline|violat|checker)|"
    r"content management policy|moderation_blocked|content[-_ ]moderated|request[-_ ]moderated|"
    r"moderation (?:system|filter|polic|check|fail|reject)|requires moderation|data[ _]?inspection|"
    r"(?:rejected|refused|blocked|flagged|denied|filtered|declined) (?:by|due to|because of|for|as) (?:\w+ ){0,3}"
    r"(?:safety|moderation|content|polic|nsfw|filter|sensitive|inappropriate|violat|unsafe|explicit|harmful)|"
    r"(?:prompt|input|request|content|image|text|output|generation)s?\b[^.\n]{0,30} "
    r"(?:was|were|is|are|been|be|being) (?:\w+ )?flagged|material flagged|"
    r"violat\w* (?:[\w’']+ ){0,5}(?:polic|guideline|terms|rules|standards|practices)|"
    r"(?:usage|content|safety|use) polic(?:y|ies) (?:violat|prohibit)|"
    r"responsible ai|nsfw|(?:sensitive|prohibited|banned|illegal|unsafe|harmful|explicit|disallowed|inappropriate)[_ ]"
    r"(?:words?|content|information|materials?|prompts?|text|images?)\b|risk not pass|blocked by our content|"
    r"敏感|违规|不合规|内容审核|内容安全|审核(?:未|不)通过|违反.{0,12}(?:政策|规定|规范|准则)|涉黄|色情|违禁",
    re.IGNORECASE,
)
_ACCOUNT_TEXT = re.compile(
    r"temporarily blocked|must be verified|"
    r"\b(?:account|organi[sz]ation|project|team|workspace|api key|resource)\b(?:(?!\b(?:may|might|could|will|can)\b).){0,30}"
    r"(?:suspended|disabled|blocked|banned|deactivated|terminated|flagged)",
    re.IGNORECASE,
)
"""An account that is blocked, also where it is said in the words of a content policy; not one that may be some day."""
_PASSED_ON = re.compile(
    r"disconnect/reset before headers(?!.{0,200}(?:connection failure|connection timeout|overflow))|"
    r"an error occurred in the application|\bapplication error\b",
    re.IGNORECASE | re.DOTALL,
)
"""Gateways that say 503 also of a request that they had handed on: Envoy, but for connections that never stood; Heroku."""

_DECLINES = re.compile(
    r"\b(?:i|we)(?:['’]m| am| are)? (?:\w+ ){0,2}(?:ca(?:n['’]?t|nnot)|can not|unable to|not able to|won['’]?t|will not|"
    r"not allowed to|must decline|have to decline|refuse)\b|"
    r"\b(?:unable|not able|refuse|declined?) to (?:\w+ ){0,3}(?:generate|create|produce|make|draw|edit|depict|fulfil)|"
    r"\bcan(?:['’]?t|not) (?:\w+ ){0,2}(?:generate|create|produce|make|draw|edit|depict|help|assist|fulfil|comply)|"
    r"无法(?:生成|创建|提供|完成)|不能(?:生成|创建|提供)",
    re.IGNORECASE,
)

_MONEY_CODES = frozenset(
    {
        *("insufficient_quota", "insufficient_user_quota", "insufficient_balance", "insufficient_credits"),
        *(
            "insufficient_funds",
            "insufficient_credit",
            "credit_balance_exhausted",
            "billing_hard_limit_reached",
        ),
        *("billing_not_active", "payment_required", "arrearage", "quota_exhausted", "no_credits"),
        *(
            "out_of_credits",
            "not_enough_credits",
            "quota_not_enough",
            "accountoverdueerror",
            "balance_not_enough",
        ),
    }
)
_MONEY_WORDS = ("spend", "usage", "billing", "credit", "quota")
_MONEY_TEXT = re.compile(
    r"exceeded your current quota|billing hard limit has been reached|"
    r"insufficient (?:\w+ )?(?:quota|balance|credits?|funds)|not enough (?:\w+ )?(?:credits?|balance|quota|funds)|"
    r"(?:out of|no more|no remaining) credits|(?:credit|account) balance is too low|(?:balance|quota) is not enough|"
    r"(?:余额|额度|配额)不足|欠费",
    re.IGNORECASE,
)
"""OpenAI's own words are all that LiteLLM leaves of it. Gemini says the first of a rate limit too, with a time to wait."""

_PACE_CODES = frozenset(
    {
        *(
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limited",
            "rate_limit",
            "ratelimit",
            "ratelimited",
        ),
        *(
            "too_many_requests",
            "toomanyrequests",
            "slow_down",
            "throttled",
            "throttlingexception",
            "ratelimiterror",
        ),
        *("requests_limit_exceeded", "concurrency_limit_exceeded", "ratelimitexceeded", "resource_exhausted"),
    }
)
_PACE_TEXT = re.compile(
    r"rate[- _]?limit|too many (?:concurrent )?(?:requests|calls|jobs)|\b(?:throttled|throttling)\b|"
    r"(?:requests|images|tokens|calls) per (?:second|min|hour|day)|\b(?:[rtiq]pm|[rq]ps) (?:limit|exceeded)|"
    r"请求(?:过于|太)频繁|限流",
    re.IGNORECASE,
)
_BUSY_CODES = frozenset(
    {
        *("overloaded_error", "server_is_overloaded", "engine_overloaded", "model_overloaded", "overloaded"),
        *(
            "service_unavailable_error",
            "service_unavailable",
            "unavailable",
            "serveroverloaded",
            "server_busy",
        ),
    }
)

_KEY_CODES = frozenset(
    {
        *("invalid_api_key", "incorrect_api_key", "api_key_invalid", "invalidapikey", "missing_api_key"),
        *("invalid_authentication", "authentication_error", "authentication_failed", "authenticationerror"),
        *("unauthorized", "unauthenticated", "invalid_access_token", "access_token_expired", "token_expired"),
        *("invalid_key", "no_db_connection"),
    }
)
"""`no_db_connection`: 400 of a LiteLLM proxy without a database to any key but its own."""
_KEY_TEXT = re.compile(
    r"(?:invalid|incorrect|wrong|missing|expired|revoked|unknown|no) (?:\w+ )?(?:api[ _-]?key|access token|credentials)|"
    r"api[ _-]?key (?:\w+ ){0,3}(?:invalid|not valid|incorrect|expired|revoked|disabled|missing|required)|"
    r"authentication (?:failed|required)|unauthori[sz]ed|无效的?(?:令牌|密钥)|(?:令牌|密钥)(?:无效|错误)",
    re.IGNORECASE,
)
_ACCESS_CODES = frozenset(
    {"permission_denied", "access_denied", "forbidden", "accessdenied", "permission_error"}
)

_UNKNOWN_MODEL_CODES = frozenset(
    {"model_not_found", "deploymentnotfound", "not_found_error", "modelnotfound", "model_not_exist"}
)
_FIELD_CODES = frozenset(
    {
        *(
            "invalid_request_error",
            "invalid_request",
            "invalid_parameter",
            "invalidparameter",
            "invalid_argument",
        ),
        *(
            "bad_request",
            "badrequest",
            "invalid_value",
            "unknown_parameter",
            "validation_error",
            "extra_forbidden",
        ),
    }
)


def is_content(words: Set[str], code: str | None, text: str) -> bool:
    """Whether the content was refused. code: the most particular of the words, None for none."""
    if any(_CONTENT_CODES.search(word) and not _NOT_OF_CONTENT.search(word) for word in words):
        return True
    return _CONTENT_TEXT.search(text) is not None or (USER_ERROR in words and code in (None, USER_ERROR))


def is_account(text: str) -> bool:
    """Whether the account is blocked or may not use this."""
    return _ACCOUNT_TEXT.search(text) is not None


def declines(text: str) -> bool:
    """Whether a sentence that came instead of an image declines to make it."""
    return _DECLINES.search(text) is not None or _CONTENT_TEXT.search(text) is not None


def is_money(words: Set[str], text: str, *, is_waited_for: bool) -> bool:
    """Whether there is no money left, for which no waiting helps."""
    if words & _MONEY_CODES or any(_is_money_limit(word) for word in words):
        return True
    return not is_waited_for and _MONEY_TEXT.search(text) is not None


def _is_money_limit(word: str) -> bool:
    """`project_spend_limit_exceeded` and its kin, as opposed to `rate_limit_exceeded`."""
    return word.endswith("_limit_exceeded") and any(part in word for part in _MONEY_WORDS)


def is_pace(words: Set[str], text: str) -> bool:
    """Whether too much was sent at a time."""
    spoken = any(word in _PACE_CODES or word.startswith("throttling") for word in words)
    return spoken or _PACE_TEXT.search(text) is not None


def is_busy(words: Set[str]) -> bool:
    """Whether the service names itself overloaded."""
    return bool(words & _BUSY_CODES)


def is_key(words: Set[str], text: str) -> bool:
    """Whether the key is refused."""
    return bool(words & _KEY_CODES) or _KEY_TEXT.search(text) is not None


def is_key_code(words: Set[str]) -> bool:
    """Whether the key is refused, by a code alone."""
    return bool(words & _KEY_CODES)


def is_access(words: Set[str]) -> bool:
    """Whether the account may not use what it asked for."""
    return bool(words & _ACCESS_CODES)


def is_passed_on(page: str) -> bool:
    """Whether a gateway's 503 tells of a request that the service may have got."""
    return _PASSED_ON.search(page) is not None


def is_unknown_model(words: Set[str]) -> bool:
    """Whether there is no such model."""
    return bool(words & _UNKNOWN_MODEL_CODES)


def is_field(words: Set[str]) -> bool:
    """Whether a field of the request is at fault."""
    return bool(words & _FIELD_CODES)
