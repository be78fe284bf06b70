"""The body of `POST /v1/images/generations`: its fields, their bounds, and one request as a value.

Bounds are those of the service's document "GPT Image 2 Official" (open.dieyuyun.com) and of OpenAI's Images API.
Names of models, qualities, sizes and formats change every few months at every service, so `known` values only
decide whether imagemill warns; they are never a reason to refuse a row.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from schemas.secret_names import without_secrets

MAX_PROMPT_CHARS = 32_000


class FieldRule(NamedTuple):
    """One body field.

    kind: `int` or `str`, the JSON type that is sent.
    minimum, maximum: inclusive bounds of an `int` field; None where there is none.
    known: values that services document; others are sent with one warning. Empty: anything goes without a warning.
    default: what the service uses when the field is not sent; None when its document names none.
    """

    name: str
    kind: type
    meaning: str
    minimum: int | None = None
    maximum: int | None = None
    known: tuple[str, ...] = ()
    default: str | int | None = None


FIELDS: dict[str, FieldRule] = {
    rule.name: rule
    for rule in (
        FieldRule("model", str, "model identifier"),
        FieldRule(
            "size",
            str,
            "WIDTHxHEIGHT in pixels, or auto",
            known=("auto", "1024x1024", "1536x1024", "1024x1536"),
            default="1024x1024",
        ),
        FieldRule(
            "quality",
            str,
            "how much work the model puts in",
            known=("auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"),
            default="auto",
        ),
        FieldRule("n", int, "images made from this prompt", minimum=1, maximum=10, default=1),
        FieldRule(
            "background",
            str,
            "transparent needs png or webp",
            known=("auto", "opaque", "transparent"),
            default="auto",
        ),
        FieldRule(
            "moderation", str, "strictness of the content filter", known=("auto", "low"), default="auto"
        ),
        FieldRule("output_format", str, "file format", known=("png", "jpeg", "webp", "gif", "svg")),
        FieldRule("output_compression", int, "0 to 100, for jpeg and webp", minimum=0, maximum=100),
        FieldRule(
            "response_format",
            str,
            "url or b64_json",
            known=("url", "b64_json"),
            default="url",
        ),
    )
}
"""Every request field but the prompt, in the order in which they are sent."""


class ImageRequest(NamedTuple):
    """One request body: the prompt and the parameters that were set, in `FIELDS` order, extras after them."""

    prompt: str
    params: tuple[tuple[str, Any], ...]

    @property
    def n(self) -> int:
        """Images asked for (1 where `n` is not sent)."""
        return int(self.get("n", 1))

    def get(self, name: str, default: Any = None) -> Any:
        """The value sent for `name`, or `default` when it is not sent."""
        for key, value in self.params:
            if key == name:
                return value
        return default

    def body(self) -> dict[str, Any]:
        """The JSON object to send."""
        return {"prompt": self.prompt, **dict(self.params)}


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


_last: tuple[tuple[tuple[str, Any], ...], str] = ((), "{}")
"""The parameters that `canonical_params` was asked for last, and its answer: most rows of a job share theirs."""


def canonical_params(params: tuple[tuple[str, Any], ...]) -> str:
    """JSON text that is equal for equal parameter sets, whatever their order."""
    global _last
    known, text = _last
    if known is not params:
        text = _CANONICAL.encode(dict(params))
        _last = (params, text)
    return text


_last_recorded: tuple[tuple[tuple[str, Any], ...] | None, str] = (None, "")


def recorded_params(params: tuple[tuple[str, Any], ...]) -> str:
    """The same for the ledger, which keeps no secret."""
    global _last_recorded
    known, text = _last_recorded
    if known is not params:
        text = _CANONICAL.encode(without_secrets(dict(params)))
        _last_recorded = (params, text)
    return text
