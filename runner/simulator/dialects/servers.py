"""Servers that answer at once and differ in small things, one row each, as their documents and sources have it."""

from __future__ import annotations

from runner.simulator.dialects.model import Dialect, Reading

_B64_ONLY = (("b64_json", "b64_json"),)
_DIFFUSION = (
    ("seed", int),
    ("negative_prompt", str),
    ("num_inference_steps", int),
    ("guidance_scale", float),
)
_OPENAI_ANSWER = {
    "created": "$created",
    "data": "$data",
    "background": "$background",
    "output_format": "$output_format",
    "size": "$size",
    "quality": "$quality",
    "usage": "$usage",
}
_B64_ITEM = {"b64_json": "$b64_json"}
_DETAIL = {"detail": "$message"}
_DETAILS = {"detail": "$problems"}
_FASTAPI_MISTAKES = ("missing_required_parameter", "invalid_type", "empty_string")

AZURE = Dialect(
    "azure",
    base="/openai/deployments/gpt-image-2",
    route="/openai/deployments/{deployment}",
    query=("api-version", "2025-04-01-preview"),
    keys=("api-key",),
    profile="openai",
    reading=Reading(model="gpt-image-2", forced_format="b64_json"),
    answer=_OPENAI_ANSWER,
    item=_B64_ITEM,
    error={"error": {"code": "$code_or_status", "message": "$message"}},
    codes=(("moderation_blocked", "contentFilter"), ("content_policy_violation", "contentFilter")),
)
"""Assumed: `contentFilter`, and the status as the code of errors without one. Any deployment's name is served."""

XAI = Dialect(
    "xai",
    reading=Reading(
        extras=(("aspect_ratio", str), ("resolution", str)),
        refused=(
            "size",
            "quality",
            "style",
            "background",
            "moderation",
            "output_format",
            "output_compression",
        ),
        refusal="Argument not supported: {name}",
        default_format="url",
        size="ratio",
        image="jpeg",
    ),
    answer={"data": "$data"},
    item={"url": "$url", "b64_json": "$b64_json", "revised_prompt": "$revised_prompt"},
    data_uri=True,
    error={"code": "$code_or_status", "error": "$message"},
)
"""Assumed: the shape of errors, and no `created`. `quality` means something only to one newer model."""

GEMINI = Dialect(
    "gemini",
    base="/v1beta/openai",
    keys=("authorization",),
    reading=Reading(
        refused=("background", "moderation", "output_format", "output_compression"),
        refusal="Unknown name '{name}': Cannot find field.",
        formats=_B64_ONLY,
        forced_format="b64_json",
    ),
    answer={"data": "$data", "model": "$model"},
    item=_B64_ITEM,
    error={"error": {"code": "$status", "message": "$message", "status": "INVALID_ARGUMENT"}},
)
"""Assumed: base64 only, the refused fields, the shape of errors with an integer as the code."""

TOGETHER = Dialect(
    "together",
    keys=("authorization",),
    reading=Reading(
        extras=(
            ("width", int),
            ("height", int),
            ("steps", int),
            ("seed", int),
            ("negative_prompt", str),
        ),
        refused=("size", "quality", "background", "moderation", "output_compression"),
        formats=(("url", "url"), ("base64", "b64_json")),
        default_format="url",
        size="edges",
    ),
    answer={"id": "$id", "model": "$model", "object": "list", "data": "$data"},
    item={"index": "$index", "url": "$url", "b64_json": "$b64_json"},
)
"""Assumed: that fields of OpenAI's which it does not document are refused, and in OpenAI's shape."""

LOCALAI = Dialect(
    "localai",
    reading=Reading(
        ignores_unknown=True, default_format="url", model="stablediffusion", size="square_unless_given"
    ),
    answer={
        "created": "$created",
        "id": "$id",
        "data": "$data",
        "usage": {
            "total_tokens": 0,
            "input_tokens": 0,
            "output_tokens": 0,
            "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
        },
    },
    item={"index": "$index", "url": "$url", "b64_json": "$b64_json"},
    files="/generated-images/",
    signed=False,
    error={"error": {"code": "$status", "message": "$message", "type": ""}},
)
SDSERVER = Dialect(
    "sdserver",
    reading=Reading(ignores_unknown=True, model="stable-diffusion", forced_format="b64_json"),
    answer={"created": "$created", "data": "$data", "output_format": "$output_format"},
    item=_B64_ITEM,
    error={"error": "$message"},
)
VLLM_OMNI = Dialect(
    "vllm-omni",
    reading=Reading(extras=_DIFFUSION, formats=_B64_ONLY, forced_format="b64_json", model="Qwen/Qwen-Image"),
    answer={"created": "$created", "data": "$data"},
    item={"b64_json": "$b64_json", "url": None, "revised_prompt": None},
    error=_DETAIL,
    problems=_DETAILS,
    listed=_FASTAPI_MISTAKES,
)
SGLANG = Dialect(
    "sglang",
    reading=Reading(extras=_DIFFUSION, formats=_B64_ONLY, forced_format="b64_json", model="Qwen/Qwen-Image"),
    answer={"created": "$created", "data": "$data"},
    item={"b64_json": "$b64_json", "revised_prompt": "$revised_prompt"},
    error=_DETAIL,
    problems=_DETAILS,
    listed=_FASTAPI_MISTAKES,
)
"""Assumed: errors in FastAPI's shape, as the framework has them."""

LITELLM = Dialect(
    "litellm",
    keys=("authorization",),
    reading=Reading(extras=(("disable_fallbacks", bool), ("user", str)), default_format="b64_json"),
    answer=_OPENAI_ANSWER,
    item={"b64_json": "$b64_json", "url": "$url", "revised_prompt": "$revised_prompt"},
    error={"error": {"message": "$message", "type": "$type", "param": "$param", "code": "$status_text"}},
)
"""Assumed: the status, as text, for a code."""

SERVERS = (AZURE, XAI, GEMINI, TOGETHER, LOCALAI, SDSERVER, VLLM_OMNI, SGLANG, LITELLM)
