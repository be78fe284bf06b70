"""A field that the service refuses is named, in whatever words it says so, with the setting that leaves it out."""

from __future__ import annotations

from typing import Any

import pytest

from runner.providers.conversation import Send
from runner.providers.generations import ClientProfile, converse
from schemas.failures import FailureKind
from schemas.received import Rejected
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO
from tests.support.answers import Played, whole

SENT = (("model", "m"), ("n", 1), ("quality", "high"), ("background", "opaque"), ("seed", 5))


def refusal(document: Any, status: int = 400, **names: str) -> str:
    """The message of a request that is answered with this document. names: of fields that have another name there."""
    played = Played()
    profile = ClientProfile(AUTO, played.timing(), names=names)
    ended = played.play(
        converse(ImageRequest("a fox", SENT), profile),
        lambda step: whole(document, status) if isinstance(step, Send) else None,
    )
    assert isinstance(ended, Rejected)
    assert ended.failure.kind is FailureKind.INVALID_REQUEST
    return ended.failure.message


def mended(name: str) -> str:
    return f"; leave it out with --set endpoint.drop_params='[\"{name}\"]'"


def error(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (error("Unknown parameter: 'seed'.", "unknown_parameter", "seed"), "seed"),
        (
            error("litellm.BadRequestError: OpenAIException - Unknown parameter: 'seed'.", "400", "seed"),
            "seed",
        ),
        (error("Unrecognized request argument supplied: quality"), "quality"),
        (error("Unsupported parameter: 'background' is not supported with this model."), "background"),
        ({"code": "x", "error": "Argument not supported on this model: quality"}, "quality"),
        ({"code": "x", "error": "Argument not supported: quality"}, "quality"),
        (
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "quality"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
            "quality",
        ),
        (
            {
                "detail": [
                    {
                        "type": "value_error.extra",
                        "loc": ["body", "seed"],
                        "msg": "extra fields not permitted",
                    }
                ]
            },
            "seed",
        ),
        (
            error(
                "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted'}]"
            ),
            "seed",
        ),
        (error("body.seed: Extra inputs are not permitted"), "seed"),
        (
            error("Failed to deserialize: unknown field `background`, expected one of `prompt`, `size`"),
            "background",
        ),
        (error('json: unknown field "seed"'), "seed"),
        (error('Invalid JSON payload received. Unknown name "quality": Cannot find field.'), "quality"),
        (
            error("litellm.UnsupportedParamsError: x does not support parameters: ['quality'], for model=m"),
            "quality",
        ),
        (error("m does not support the quality parameter"), "quality"),
        (
            {
                "message": ["property seed should not exist"],
                "error": "property seed should not exist",
                "code": 400,
            },
            "seed",
        ),
        (error("Additional properties are not allowed ('background' was unexpected)"), "background"),
        (error("AsyncImages.generate() got an unexpected keyword argument 'seed'"), "seed"),
        (error("'quality' is not supported for this model"), "quality"),
        (error("invalid field", "unsupported_parameter", "seed"), "seed"),
    ],
)
def test_a_refused_field_is_named_with_the_setting_that_mends_it(document: Any, name: str) -> None:
    assert refusal(document).endswith(mended(name))


@pytest.mark.parametrize(
    "document",
    [
        error("Invalid value", "invalid_value", "seed"),
        error("Unknown parameter", "unknown_parameter", None),
        error("Transparent background is not supported for this model", "invalid_value", "background"),
        error("Unknown parameter: 'style'", "unknown_parameter", "style"),
        error("model m is not supported", "unsupported_model", "model"),
        error("Additional properties are not allowed ('prompt' was unexpected)"),
        {
            "detail": [
                {
                    "loc": ["body", "quality"],
                    "msg": "not a valid enumeration member",
                    "type": "type_error.enum",
                }
            ]
        },
    ],
)
def test_what_leaving_out_does_not_mend_or_was_never_sent_is_not_advised(document: Any) -> None:
    assert "drop_params" not in refusal(document)


def test_a_field_that_has_another_name_there_is_named_as_we_call_it() -> None:
    assert refusal(error("Unknown parameter: 'rng'"), seed="rng").endswith(mended("seed"))


def test_an_error_of_that_kind_under_200_names_it_too() -> None:
    assert refusal(error("Unknown parameter: 'seed'.", "unknown_parameter", "seed"), 200).endswith(
        mended("seed")
    )
