"""What can go wrong: one table of fault kinds.

The table says what a kind means and whether the service charges for it; how it is played stands with its stage
(`refusals.REFUSALS` and `PAGES`, `wire.ACTIONS`, `content.DOCUMENTS` and `IMAGES`, `downloads.ACTIONS`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """Where a fault shows."""

    REFUSAL = "an error document instead of an answer"
    PAGE = "something that is not the service's own document: a gateway's page, a redirect"
    WIRE = "the connection misbehaves"
    DOCUMENT = "200 and whole, but the document is odd"
    IMAGE = "200 and a good document, but the image's bytes are odd"
    URL = "a good answer with a URL, which misbehaves when it is fetched"
    TASK = "a task that goes another way than from queued to done"


PARAMETERS: dict[Stage, tuple[str, ...]] = {
    Stage.REFUSAL: ("status", "code", "message", "retry_after"),
    Stage.PAGE: ("status", "location"),
    Stage.WIRE: ("at_byte",),
    Stage.DOCUMENT: (),
    Stage.IMAGE: ("format",),
    Stage.URL: ("location", "status"),
    Stage.TASK: ("polls", "status", "code", "message", "retry_after"),
}
"""Optional parameters of a fault by the stage of its kind, besides the common ones."""
COMMON_PARAMETERS = ("delay", "billed")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to misbehave.

    billed: whether the service charges for the images of such a request (a fault's own `billed` overrides it).
    late: comes only after the time that an answer takes; otherwise at once. delay_s: extra seconds when not given.
    paces: the delay is not one before the answer but the fault's own business.
    for_task: only requests for a task meet it (True), only others (False), all (None).
    """

    name: str
    stage: Stage
    meaning: str
    billed: bool
    late: bool = True
    delay_s: float = 0.0
    paces: bool = False
    for_task: bool | None = None


_REFUSALS = (
    ("moderation", True, "400 moderation_blocked: the prompt was refused by the safety system"),
    ("content_policy", True, "400 content_policy_violation, the older wording"),
    ("rate_limit", False, "429 rate_limit_exceeded with Retry-After (retry_after, default 1 s)"),
    ("rate_limit_text", False, "429 whose only hint is 'try again in …' in the message"),
    ("rate_limit_no_hint", False, "429 without any hint"),
    ("slow_down", False, "429 slow_down: ramped up too fast"),
    ("overloaded", False, "503 server_is_overloaded"),
    ("quota", False, "429 insufficient_quota: no money left"),
    ("billing_limit", False, "400 billing_hard_limit_reached"),
    ("payment_required", False, "402 insufficient balance, as relays put it"),
    ("auth", False, "401 invalid_api_key: the key was revoked"),
    ("forbidden", False, "403 organization must be verified"),
    ("bad_request", False, "400 invalid value"),
    ("unknown_parameter", False, "400 unknown_parameter"),
    ("not_found", False, "404 model_not_found"),
    ("too_large", False, "413 request too large"),
    ("unprocessable", False, "422 in the style of FastAPI services: no `error`, but `detail`"),
    ("server_error", True, "500 with the service's own JSON error"),
)
_OTHERS = (
    Kind("timeout_408", Stage.PAGE, "408 JSON of an intermediary that gave up; the image was made", True),
    Kind("html_500", Stage.PAGE, "500 with an HTML page", True),
    Kind("html_502", Stage.PAGE, "502 Bad Gateway, HTML", False),
    Kind("html_503", Stage.PAGE, "503 Service Unavailable, HTML", False, late=False),
    Kind("html_504", Stage.PAGE, "504 Gateway Time-out, HTML; the image was made", True),
    Kind("html_524", Stage.PAGE, "524 of a CDN, HTML; the image was made", True),
    Kind("redirect", Stage.PAGE, "307 to `location` on the POST", False, late=False),
    Kind("hang", Stage.WIRE, "never answers until the connection closes", True, late=False),
    Kind("disconnect", Stage.WIRE, "closes without a byte of answer after the image was made", True),
    Kind("reset", Stage.WIRE, "resets the connection (RST) after reading the request", False, late=False),
    Kind("truncate", Stage.WIRE, "Content-Length, then the body is cut at `at_byte` (default: half)", True),
    Kind("chunk_cut", Stage.WIRE, "chunked body cut inside a chunk, at `at_byte`", True),
    Kind("short_length", Stage.WIRE, "Content-Length smaller than the body", True),
    Kind("stall", Stage.WIRE, "headers and the body up to `at_byte`, then silence", True),
    Kind(
        "drip",
        Stage.WIRE,
        "one byte of the body every `delay` seconds (default 10)",
        True,
        delay_s=10.0,
        paces=True,
    ),
    Kind("huge_body", Stage.WIRE, "a body of 2 GB, or `at_byte` bytes", True),
    Kind("gzip_bomb", Stage.WIRE, "a small gzip body, unasked, that unpacks to 100 MB", True),
    Kind("slow", Stage.DOCUMENT, "a good answer `delay` seconds late (default 5)", True, delay_s=5.0),
    Kind("moderation_200", Stage.DOCUMENT, "the moderation error under status 200", False),
    Kind("error_200", Stage.DOCUMENT, "a rate limit error under status 200", False),
    Kind(
        "upstream_200",
        Stage.DOCUMENT,
        "an error under status 200 that does not tell whether the image was made",
        True,
    ),
    Kind(
        "page_200",
        Stage.DOCUMENT,
        "a web page under status 200, as behind a base URL without its /v1",
        False,
        late=False,
    ),
    Kind(
        "refused_slot",
        Stage.DOCUMENT,
        "an empty slot that the service's moderation withholds; it is charged",
        True,
    ),
    Kind("refused_in_words", Stage.DOCUMENT, "a chat's sentence that declines to draw", True),
    Kind(
        "event_stream",
        Stage.DOCUMENT,
        "a stream of events, although none was asked for; the image is good",
        True,
    ),
    Kind("response_form", Stage.DOCUMENT, "the image in an `image_generation_call`; it is good", True),
    Kind("bad_json", Stage.DOCUMENT, "a whole body that is not JSON", True),
    Kind("not_object", Stage.DOCUMENT, "JSON, but a list", True),
    Kind("empty_data", Stage.DOCUMENT, "`data` is an empty list", True),
    Kind("no_data", Stage.DOCUMENT, "no `data`", True),
    Kind("fewer_images", Stage.DOCUMENT, "one image fewer than asked for", True),
    Kind("extra_images", Stage.DOCUMENT, "one image more than asked for", True),
    Kind("null_fields", Stage.DOCUMENT, "every field of the answer's images is null", True),
    Kind("data_uri", Stage.DOCUMENT, "b64_json with a data:…;base64, prefix; the image is good", True),
    Kind("wrapped_base64", Stage.DOCUMENT, "b64_json in lines of 76 characters; the image is good", True),
    Kind("html_base64", Stage.DOCUMENT, "b64_json of an HTML page", True),
    Kind("bad_base64", Stage.DOCUMENT, "b64_json with characters that are not base64", True),
    Kind("no_created", Stage.DOCUMENT, "no `created`; the image is good", True),
    Kind("no_usage", Stage.DOCUMENT, "no `usage`; the image is good", True),
    Kind("no_revised_prompt", Stage.DOCUMENT, "no `revised_prompt`; the image is good", True),
    Kind("echo_key", Stage.DOCUMENT, "no image, and the caller's key in the text", True),
    Kind("not_image", Stage.IMAGE, "bytes that are no image", True),
    Kind("truncated_image", Stage.IMAGE, "the first half of the image file", True),
    Kind("trailing_garbage", Stage.IMAGE, "the image file and 1 KiB after its end", True),
    Kind(
        "wrong_format",
        Stage.IMAGE,
        "another format than asked for, or `format`: png jpeg webp gif bmp tiff svg",
        True,
    ),
    Kind("wrong_size", Stage.IMAGE, "half the width and height asked for", True),
    Kind("zero_bytes", Stage.IMAGE, "an empty image", True),
    Kind("pixel_bomb", Stage.IMAGE, "a small PNG of 20,000 x 20,000 pixels", True),
    Kind("url_404", Stage.URL, "the image's URL answers 404", True),
    Kind("url_403", Stage.URL, "the image's URL answers 403, as an expired one does", True),
    Kind("url_html", Stage.URL, "the image's URL answers 200 with an HTML page", True),
    Kind(
        "url_slow",
        Stage.URL,
        "the image's URL answers `delay` seconds late (default 5)",
        True,
        delay_s=5.0,
        paces=True,
    ),
    Kind("url_truncate", Stage.URL, "the image's download is cut in the middle", True),
    Kind("url_redirect", Stage.URL, "the image's URL redirects to `location`", True),
    Kind("url_loop", Stage.URL, "the image's URL redirects to itself", True),
    Kind("url_foreign", Stage.URL, "the answer's URL is `location` (default: a private address)", True),
    Kind("url_relative", Stage.URL, "the answer's URL is relative; the image is good", True),
)
_TASKS = (
    ("task_failed", False, "the task ends as failed, for no reason of the prompt's"),
    ("task_moderated", False, "the task ends as failed, refused by the safety system"),
    ("task_vanished", True, "every poll answers 404"),
    ("task_never_ends", True, "the task is processing for ever"),
    ("task_backwards", True, "the first three polls see it nearly done, queued, half done; then it goes on"),
    ("task_changes_id", True, "polls answer with another id, which answers 404 itself"),
    ("task_fewer_images", True, "the task is done with one image fewer than asked for"),
    (
        "task_unknown_status",
        True,
        "a word that nobody knows while it goes on, in the first `polls` (2) anyway",
    ),
    ("poll_errors", True, "the first `polls` (3) answer 429, 500 and a 502 page in turn, or `status`"),
    ("poll_hang", True, "the first `polls` (1) are never answered"),
    ("sync_in_async_reply", True, "images at once for a request that asked for a task"),
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *(Kind(name, Stage.REFUSAL, text, False, late) for name, late, text in _REFUSALS),
        *_OTHERS,
        *(Kind(name, Stage.TASK, text, billed, for_task=True) for name, billed, text in _TASKS),
        Kind(
            "task_in_sync_reply",
            Stage.TASK,
            "a task for a request that did not ask for one",
            True,
            for_task=False,
        ),
    )
}
"""Every kind by name, in the order in which they are listed."""


def parameters(kind: Kind) -> tuple[str, ...]:
    """The optional parameters that a `[[fault]]` of this kind takes."""
    return PARAMETERS[kind.stage] + COMMON_PARAMETERS


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a scenario: exactly one of `match`, `rows`, `share` says which prompts meet it.

    match: searched in the prompt. rows: places of distinct prompts in order of first arrival, from 0.
    share: 0 to 1, that part of all prompts, chosen by a hash of seed and prompt.
    times: only the first so many admitted attempts of a prompt; None means always.
    delay: extra seconds. polls: how many polls of a task meet it.
    billed, status, code, message, retry_after, at_byte, location, format: None means the kind's.
    """

    kind: str
    match: re.Pattern[str] | None = None
    rows: frozenset[int] | None = None
    share: float | None = None
    times: int | None = None
    delay: float | None = None
    billed: bool | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | str | None = None
    at_byte: int | None = None
    location: str | None = None
    format: str | None = None
    polls: int | None = None

    @property
    def is_billed(self) -> bool:
        """Whether the request is charged."""
        return KINDS[self.kind].billed if self.billed is None else self.billed

    @property
    def delay_s(self) -> float:
        """Extra seconds."""
        return KINDS[self.kind].delay_s if self.delay is None else self.delay


def kinds_table() -> str:
    """The kinds as text, one a line: name, whether charged, meaning."""
    wide = max(map(len, KINDS))
    lines = [f"{'kind':<{wide}}  billed  meaning (an [[outage]] takes those that are whole errors or pages)"]
    lines += [
        f"{kind.name:<{wide}}  {'yes' if kind.billed else 'no':<6}  {kind.meaning}" for kind in KINDS.values()
    ]
    return "\n".join(lines)
