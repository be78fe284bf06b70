"""What words mean: refusals of content in every service's words, and what only sounds like one."""

from __future__ import annotations

import pytest

from jobs import error_words

CONTENT_CODES = (
    *(
        "content_moderation",
        "moderation_blocked",
        "content_policy_violation",
        "content_filter",
        "contentfilter",
    ),
    *(
        "nsfw",
        "nsfw_content_detected",
        "datainspectionfailed",
        "data_inspection_failed",
        "sensitive_words_detected",
    ),
    *(
        "inputtextsensitivecontentdetected",
        "outputimagesensitivecontentdetected.policyviolation",
        "image_safety",
    ),
    *("prohibited_content", "safety.input.text", "request_moderated", "content_moderated", "flagged_input"),
    *(
        "operationdenied.textillegaldetected",
        "responsibleaipolicyviolation",
        "banned_prompt",
        "content_filtered",
    ),
)
OTHER_CODES = (
    *("invalid_value", "rate_limit_exceeded", "moderation_timeout", "moderation_unavailable", "server_error"),
    *(
        "invalid_moderation",
        "unsupported_moderation",
        "unknown_parameter",
        "insufficient_quota",
        "400",
        "filter",
    ),
)


@pytest.mark.parametrize("code", CONTENT_CODES)
def test_codes_that_refuse_content(code: str) -> None:
    assert error_words.is_content({code}, code, "")


@pytest.mark.parametrize("code", OTHER_CODES)
def test_codes_of_other_things(code: str) -> None:
    assert not error_words.is_content({code}, code, "")


@pytest.mark.parametrize(
    "text",
    [
        "Your request was rejected by the safety system. safety_violations=[sexual].",
        "The request was flagged by our content moderation system; it was denied and not charged.",
        "some/model requires moderation. Your input was flagged for “violence”.",
        "Generated image rejected by content moderation.",
        "NSFW content detected in image. Try another prompt",
        "Input data may contain inappropriate content.",
        "The request failed because the input text may contain sensitive information.",
        "user sensitive words detected",
        "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
        "material flagged by a content checker",
        "This request has been blocked by our content filters.",
        "filtered out because they violated Vertex AI's usage guidelines",
        "The prompt violates our usage policies.",
        "Image blocked due to safety reasons",
        "Trigger strategy, such as content security policy of the platform",
        "Post Img Risk Not Pass",
        "系统检测到输入或生成内容可能包含不安全或敏感内容",
        "内容审核未通过",
        "violates the AWS Responsible AI Policy",
    ],
)
def test_texts_that_refuse_content(text: str) -> None:
    assert error_words.is_content(frozenset(), None, text)


@pytest.mark.parametrize(
    "text",
    [
        "Invalid value: 'high'. Supported values are: 'low' and 'auto'.",
        "Unknown parameter: 'moderation'.",
        "The image is too large",
        "Content-Type must be application/json",
        "content length exceeds the limit",
        "Rate limit reached for images per minute",
        "The model does not exist",
        "Transparent background is not supported",
        "A safety helmet is no valid size",
        "The server had an error while processing your request.",
    ],
)
def test_texts_of_other_things(text: str) -> None:
    assert not error_words.is_content(frozenset(), None, text)


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        ("Your account has been suspended", True),
        ("This organization was disabled for violating our policies", True),
        ("Your organization must be verified to use the model", True),
        ("Your resource has been temporarily blocked", True),
        ("Repeated violations may lead to your account being suspended", True),
        ("If this goes on your account may be suspended", False),
        ("Your account could be banned", False),
        ("The prompt was blocked", False),
    ],
)
def test_a_blocked_account_and_one_that_may_be_blocked_some_day(text: str, blocked: bool) -> None:
    assert error_words.is_account(text) is blocked


@pytest.mark.parametrize(
    ("text", "declines"),
    [
        ("I can't generate this image.", True),
        ("I can’t help with that.", True),
        ("I'm sorry, but I cannot create images of real people.", True),
        ("We are unable to process this.", True),
        ("I'm unable to generate that", True),
        ("Sorry, I won't draw that.", True),
        ("I must decline.", True),
        ("抱歉，我无法生成该图片", True),
        ("Unable to show the image: it violates our content policy", True),
        ("Which style do you want?", False),
        ("Here is your picture of a can in the snow.", False),
        ("The fox cannot be seen, for it is white.", False),
    ],
)
def test_sentences_that_decline_to_make_an_image(text: str, declines: bool) -> None:
    assert error_words.declines(text) is declines


@pytest.mark.parametrize(
    ("words", "text", "money"),
    [
        ({"arrearage"}, "", True),
        ({"project_spend_limit_exceeded"}, "", True),
        ({"rate_limit_exceeded"}, "", False),
        (set(), "This request requires more credits, not enough credits", True),
        (set(), "Insufficient credits. Add more", True),
        (set(), "insufficient user quota", True),
        (set(), "用户余额不足", True),
        (set(), "Insufficient permissions", False),
        (set(), "a picture of credits", False),
    ],
)
def test_money(words: set[str], text: str, money: bool) -> None:
    assert error_words.is_money(words, text, is_waited_for=False) is money


@pytest.mark.parametrize(
    ("words", "text", "pace"),
    [
        ({"throttling.ratequota"}, "", True),
        ({"resource_exhausted"}, "", True),
        (set(), "rate limit exceeded(RPM), retry later", True),
        (set(), "Too many concurrent requests", True),
        (set(), "You have exceeded your requests per minute", True),
        (set(), "请求过于频繁，请稍后再试", True),
        (set(), "size exceeds the limit", False),
        (set(), "a full-throttle engine", False),
    ],
)
def test_pace(words: set[str], text: str, pace: bool) -> None:
    assert error_words.is_pace(words, text) is pace


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("API key not valid. Please pass a valid API key.", True),
        ("invalid api key", True),
        ("Incorrect API key provided: sk-…", True),
        ("Unauthorized", True),
        ("无效的令牌", True),
        ("Invalid token in JSON at position 4", False),
        ("a key under the mat", False),
    ],
)
def test_refused_keys(text: str, key: bool) -> None:
    assert error_words.is_key(frozenset(), text) is key
