"""A request body checked as strictly as the services document it, and worded as they word it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from runner.simulator.requests.errors import ServiceError
from schemas.providers import PROFILES
from schemas.request import FIELDS, MAX_PROMPT_CHARS, FieldRule
from schemas.request_rules import ANY_SIZE, Fault, RequestRules, rules_of

MAX_EDGE, MAX_RATIO, EDGE_STEP = ANY_SIZE.most_edge, ANY_SIZE.most_ratio, ANY_SIZE.step
"""Smaller images than the service's are drawn too: a rehearsal need not cost the time of large ones."""

_CALLERS = ("user", "safety_identifier")
"""Fields that tell who asks, which OpenAI takes with every request."""
_DALLE_FIELDS = frozenset({"prompt", "model", "n", "size", "quality", "response_format", "style", *_CALLERS})
_VALUES = {
    **{name: rule.known for name, rule in FIELDS.items() if rule.known and name != "size"},
    "output_format": ("png", "jpeg", "webp"),
    "style": ("vivid", "natural"),
}
_TYPE_NAMES = {
    str: "a string",
    int: "an integer",
    bool: "a boolean",
    float: "a decimal",
    list: "an array",
    dict: "an object",
}
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Order:
    """A request that the service accepts, with its defaults filled in.

    size: `WIDTHxHEIGHT` in effect. quality: in effect, never `auto`. as_url: images come as URLs, else as base64.
    compression: 0 to 100; None when not sent.
    """

    prompt: str
    model: str
    n: int
    width: int
    height: int
    quality: str
    background: str
    format: str
    compression: int | None
    as_url: bool

    @property
    def size(self) -> str:
        """Size in effect, as answers report it."""
        return f"{self.width}x{self.height}"


def read_document(raw: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object in a request body; ServiceError for anything else. content_type: without parameters."""
    if content_type != "application/json":
        message = f"Unsupported content type: '{content_type}'. This API method only accepts 'application/json' requests."
        raise ServiceError(415, message, code="unsupported_content_type")
    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise ServiceError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(document, dict):
        raise ServiceError(400, "Invalid body: expected an object.")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def check_order(document: dict[str, Any], profile: str) -> Order:
    """The order in `document`, or the first mistake in it as ServiceError. profile: a name in `PROFILES`."""
    model = document.get("model")
    accepted = accepted_fields(profile, model if isinstance(model, str) else "")
    for name in document:
        if name not in accepted:
            raise _mistake(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    for name in ("prompt", "model"):
        if name not in document:
            raise _mistake(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    documented = rules_of(profile, model)
    for name, value in document.items():
        _check_value(name, value, documented)
    if document["model"] == "no-such-model" or document["model"].startswith("missing"):
        message = f"The model '{document['model']}' does not exist or you do not have access to it."
        raise ServiceError(404, message, code="model_not_found", param="model")
    order = _order(document, "response_format" in accepted)
    if order.background == "transparent" and order.format == "jpeg":
        message = "Transparent background is not supported for JPEG output format."
        raise _mistake(message, "background", "invalid_value")
    for fault in documented.param_faults(document) if documented is not None else ():
        if fault.is_refused:
            raise _refused(fault)
    return order


def _refused(fault: Fault) -> ServiceError:
    """A rule between fields, as OpenAI words the one that users meet."""
    if fault.name != "output_compression":
        return _mistake(f"Invalid value: {fault.text}.", fault.name, "invalid_value")
    message = "Compression less than 100 is not supported for PNG output format"
    return ServiceError(
        400, message, type="image_generation_user_error", code="invalid_png_output_compression"
    )


def accepted_fields(profile: str, model: str) -> frozenset[str]:
    """The body fields that a service of this profile takes for this model."""
    if PROFILES[profile].own_document:
        return frozenset({"prompt", *_CALLERS, *FIELDS})
    if model.startswith("dall-e"):
        return _DALLE_FIELDS
    return frozenset({"prompt", *_CALLERS, *FIELDS}) - frozenset(PROFILES[profile].dropped)


def _check_value(name: str, value: Any, documented: RequestRules | None) -> None:
    rule = FIELDS.get(name)
    _check_type(name, value, rule.kind if rule else str)
    if name == "size":
        parse_size(value)
    elif rule is not None and rule.kind is int:
        _check_range(rule, value)
    elif name in ("prompt", "model"):
        _check_length(name, value)
    elif name in _VALUES:
        field = None if documented is None else documented.field(name)
        values = tuple(word for word in _VALUES[name] if field is None or word in field.values)
        if value not in values:
            raise _mistake(f"Invalid value: '{value}'. {_supported(values)}", name, "invalid_value")


def _check_type(name: str, value: Any, wanted: type) -> None:
    if type(value) is not wanted:
        given = _TYPE_NAMES.get(type(value), "null")
        message = f"Invalid type for '{name}': expected {_TYPE_NAMES[wanted]}, but got {given} instead."
        raise _mistake(message, name, "invalid_type")


def _check_length(name: str, value: str) -> None:
    if not value:
        wanted = "Expected a string with minimum length 1, but got an empty string instead."
        raise _mistake(f"Invalid '{name}': empty string. {wanted}", name, "empty_string")
    if name == "prompt" and len(value) > MAX_PROMPT_CHARS:
        message = (
            f"Invalid '{name}': string too long. Expected a string with maximum length {MAX_PROMPT_CHARS}, "
            f"but got a string with length {len(value)} instead."
        )
        raise _mistake(message, name, "string_above_max_length")


def _check_range(rule: FieldRule, value: int) -> None:
    start = f"Invalid '{rule.name}': integer"
    if rule.minimum is not None and value < rule.minimum:
        message = f"{start} below minimum value. Expected a value >= {rule.minimum}, but got {value} instead."
        raise _mistake(message, rule.name, "integer_below_min_value")
    if rule.maximum is not None and value > rule.maximum:
        message = f"{start} above maximum value. Expected a value <= {rule.maximum}, but got {value} instead."
        raise _mistake(message, rule.name, "integer_above_max_value")


def parse_size(size: str) -> tuple[int, int]:
    """Width and height in pixels; `auto` is 1024x1024. ServiceError where the service draws no such size."""
    if size == "auto":
        return 1024, 1024
    parts = _SIZE.fullmatch(size)
    if parts is None:
        raise _size_mistake(size, "expected 'auto' or WIDTHxHEIGHT, such as '1024x1024'")
    width, height = int(parts[1]), int(parts[2])
    if not (0 < width <= MAX_EDGE and 0 < height <= MAX_EDGE):
        raise _size_mistake(size, f"edges must be between {EDGE_STEP} and {MAX_EDGE} pixels")
    if width % EDGE_STEP or height % EDGE_STEP:
        raise _size_mistake(size, f"width and height must be divisible by {EDGE_STEP}")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise _size_mistake(size, "the aspect ratio must be between 1:3 and 3:1")
    return width, height


def _size_mistake(size: str, rule: str) -> ServiceError:
    return _mistake(f"Invalid value: '{size}'. Size: {rule}.", "size", "invalid_value")


def _order(document: dict[str, Any], has_response_format: bool) -> Order:
    width, height = parse_size(document.get("size", "auto"))
    answer_default = "url" if has_response_format else "b64_json"
    background = document.get("background", "auto")
    return Order(
        prompt=document["prompt"],
        model=document["model"],
        n=document.get("n", 1),
        width=width,
        height=height,
        quality=_QUALITY_IN_EFFECT.get(document.get("quality", "auto"), document.get("quality", "auto")),
        background="opaque" if background == "auto" else background,
        format=document.get("output_format", "png"),
        compression=document.get("output_compression"),
        as_url=document.get("response_format", answer_default) == "url",
    )


_QUALITY_IN_EFFECT = {"auto": "medium", "standard": "medium", "hd": "high"}


def _mistake(message: str, param: str, code: str) -> ServiceError:
    return ServiceError(400, message, param=param, code=code)


def _supported(values: tuple[str, ...]) -> str:
    quoted = [f"'{value}'" for value in values]
    return f"Supported values are: {', '.join(quoted[:-1])} and {quoted[-1]}."
