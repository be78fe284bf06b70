"""What services document of the bodies they take: fields, bounds, closed lists and rules between fields, as data.

A document says what is certain to be taken. What it does not name may be taken all the same, since names of models,
qualities, sizes and formats change every few months: imagemill sends such values with a warning. It refuses a row only
for what a rule names as `refused`: there the service's document and its answers agree.

Sources, read on 2026-11-22:

- dieyuyun: "GPT Image 2 Official" (open.dieyuyun.com/en/guide/image-gpt-image-2-official.html), whole; "GPT Image 2"
  (image-gpt-image-2.html) and "Async Tasks" (async-tasks.html), as far as they could be read.
- OpenAI: `images.generate` of openai-python 3.54.0 (types/image_generate_params.py), which is generated from OpenAI's
  specification. Least and most pixels: docs.anyfast.ai and fal.ai/models/openai/gpt-image-2, which agree. That PNG takes
  no `output_compression` below 100: the service's own error `invalid_png_output_compression`, as users report it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from schemas.request import MAX_PROMPT_CHARS

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_SHOWN_CHARS = 40


class SizeRule(NamedTuple):
    """Which sizes besides the listed ones are drawn. Edges in pixels, multiples of `step`; pixels: width times height."""

    step: int = 16
    most_edge: int = 3840
    most_ratio: int = 3
    least_pixels: int = 655_360
    most_pixels: int = 3840 * 2160

    def fault(self, width: int, height: int) -> str | None:
        """Why this size is not drawn; None when it is."""
        if max(width, height) > self.most_edge:
            return f"edges must be at most {self.most_edge:,} pixels"
        if width % self.step or height % self.step:
            return f"width and height must be divisible by {self.step}"
        if max(width, height) > self.most_ratio * min(width, height):
            return f"the aspect ratio must be between 1:{self.most_ratio} and {self.most_ratio}:1"
        if not self.least_pixels <= width * height <= self.most_pixels:
            return f"an image has {self.least_pixels:,} to {self.most_pixels:,} pixels"
        return None


ANY_SIZE = SizeRule()
"""`gpt-image-2` and its successors at OpenAI."""


class BodyField(NamedTuple):
    """One field of a body.

    kind: the JSON type. minimum, maximum: inclusive; of an int, or of the characters of a str.
    values: the document's closed list; empty: any. sizes: what a WIDTHxHEIGHT outside the list must be; None: nothing is.
    """

    name: str
    kind: type = str
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    values: tuple[str, ...] = ()
    sizes: SizeRule | None = None


class Needs(NamedTuple):
    """A rule between two fields: `name`, where it applies, needs `other` to be one of `among`.

    values, below, above: where it applies; the value is one of `values`, or less than `below`, or more than `above`.
    default: what `other` is when it is not sent. refused: values of `other` that the service is known to refuse then.
    """

    name: str
    other: str
    among: tuple[str, ...]
    default: str
    refused: tuple[str, ...]
    values: tuple[str, ...] = ()
    below: int | None = None
    above: int | None = None

    def applies(self, value: Any) -> bool:
        """Whether `name` with this value calls for `other`."""
        if self.values:
            return value in self.values
        if type(value) is not int:
            return False
        return (self.below is not None and value < self.below) or (
            self.above is not None and value > self.above
        )


class Fault(NamedTuple):
    """What a document says against a body. text: one clause that names field and value. is_refused: for certain."""

    name: str
    text: str
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What one service documents of some models. models: their names, or patterns of them with `*`."""

    service: str
    models: tuple[str, ...]
    fields: tuple[BodyField, ...]
    needs: tuple[Needs, ...] = ()

    def field(self, name: str) -> BodyField | None:
        """The field of this name; None when the document has none."""
        return next((field for field in self.fields if field.name == name), None)

    def faults(self, body: Mapping[str, Any]) -> list[Fault]:
        """Everything that the document says against a whole body; empty when the body is valid."""
        missing = [
            Fault(field.name, f"{field.name} is missing")
            for field in self.fields
            if field.required and field.name not in body
        ]
        return [*missing, *self.param_faults(body)]

    def param_faults(self, params: Mapping[str, Any]) -> Iterator[Fault]:
        """What it says against the fields that are there."""
        for name, value in params.items():
            field = self.field(name)
            if field is None:
                yield Fault(name, f"{name} is no field that {self.service} documents for this model")
                continue
            text = _fault(field, value, self.service)
            if text is not None:
                yield Fault(name, f"{name} {_shown(value)} {text}")
        for rule in self.needs:
            other = params.get(rule.other, rule.default)
            if rule.name in params and rule.applies(params[rule.name]) and other not in rule.among:
                told = "" if rule.other in params else ", the default,"
                text = f"{rule.name} {_shown(params[rule.name])} does not go with {rule.other} {_shown(other)}{told}"
                yield Fault(rule.name, f"{text} at {self.service}", other in rule.refused)


def _fault(field: BodyField, value: Any, service: str) -> str | None:
    """What is wrong with the value, to follow field and value; None when it is good."""
    if not _is_of(field.kind, value):
        return f"must be of type {field.kind.__name__}"
    amount = len(value) if field.kind is str else value
    if field.minimum is not None and amount < field.minimum:
        return f"is below {field.minimum:,}"
    if field.maximum is not None and amount > field.maximum:
        return f"is above {field.maximum:,}"
    if not field.values or value in field.values:
        return None
    size = _SIZE.fullmatch(value) if field.sizes is not None else None
    reason = field.sizes.fault(int(size[1]), int(size[2])) if field.sizes and size else ""
    return None if reason is None else f"is not one that {service} documents{reason and ': '}{reason}"


def _is_of(kind: type, value: object) -> bool:
    """Whether a JSON value is of this type; true is no number."""
    return type(value) is kind


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


STANDARD_SIZES = ("auto", "1024x1024", "1536x1024", "1024x1536")
_QUALITIES = ("auto", "low", "medium", "high")

_COMMON = (
    BodyField("prompt", required=True, minimum=1, maximum=MAX_PROMPT_CHARS),
    BodyField("model", required=True, minimum=1),
    BodyField("n", int, minimum=1, maximum=10),
    BodyField("background", values=("auto", "opaque", "transparent")),
    BodyField("moderation", values=("auto", "low")),
    BodyField("output_compression", int, minimum=0, maximum=100),
)

_DIEYUYUN = (
    *_COMMON,
    BodyField("size", values=STANDARD_SIZES),
    BodyField("quality", values=_QUALITIES),
    BodyField("response_format", values=("url", "b64_json")),
    BodyField("output_format", values=("png", "jpeg", "webp")),
)

_OPENAI = (
    *_COMMON,
    BodyField("output_format", values=("png", "jpeg", "webp", "gif", "svg")),
    BodyField("complexity", values=("low", "medium", "high")),
    BodyField("frame_count", int, minimum=2, maximum=16),
    BodyField("frame_duration_ms", int),
    BodyField("partial_images", int, minimum=0, maximum=3),
    BodyField("stream", bool),
    BodyField("safety_identifier"),
    BodyField("svg", dict),
    BodyField("user"),
)
"""GPT image models. `response_format` and `style` are "unsupported for GPT image models"; DALL·E retired 2026-05-12."""

_OPENAI_NEEDS = (
    Needs("background", "output_format", ("png", "webp"), "png", refused=("jpeg",), values=("transparent",)),
    Needs(
        "output_compression",
        "output_format",
        ("jpeg", "webp"),
        "png",
        refused=("png", "gif", "svg"),
        below=100,
    ),
    Needs("n", "output_format", ("png", "jpeg", "webp", "gif"), "png", refused=("svg",), above=1),
)

_ANY_SIZE = BodyField("size", values=STANDARD_SIZES, sizes=ANY_SIZE)

_GPT_IMAGE_2 = RequestRules(
    "openai",
    ("gpt-image-2", "gpt-image-2-*"),
    (*_OPENAI, _ANY_SIZE, BodyField("quality", values=_QUALITIES)),
    _OPENAI_NEEDS,
)

RULE_SETS: tuple[RequestRules, ...] = (
    RequestRules("dieyuyun", ("gpt-image-2-official",), _DIEYUYUN),
    RequestRules("dieyuyun", ("gpt-image-2",), (*_DIEYUYUN, BodyField("async", bool))),
    _GPT_IMAGE_2,
    replace(
        _GPT_IMAGE_2,
        models=("gpt-image-2.5-*", "gpt-image-2.6-*"),
        fields=(*_OPENAI, _ANY_SIZE, BodyField("quality", values=(*_QUALITIES, "xhigh", "max"))),
    ),
    replace(
        _GPT_IMAGE_2,
        models=("gpt-image-1.5*", "gpt-image-1-mini*", "chatgpt-image-latest"),
        fields=(
            *_OPENAI,
            BodyField("size", values=STANDARD_SIZES),
            BodyField("quality", values=_QUALITIES),
        ),
    ),
)


def rules_of(service: str, model: object) -> RequestRules | None:
    """The document for this model at this service (a profile's name); None where there is none."""
    for document in RULE_SETS:
        if document.service == service and any(
            fnmatchcase(str(model), pattern) for pattern in document.models
        ):
            return document
    return None
