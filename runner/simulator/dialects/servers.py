"""Servers that answer at once, one row each, as their documents and sources have it; their answers are recorded."""

from __future__ import annotations

from dataclasses import replace

from runner.simulator.dialects.model import Dialect, Reading
from runner.simulator.dialects.recordings import recorded

_B64_ONLY = (("b64_json", "b64_json"),)
_DIFFUSION = (
    ("seed", int),
    ("negative_prompt", str),
    ("num_inference_steps", int),
    ("guidance_scale", float),
)
_FASTAPI_MISTAKES = ("missing_required_parameter", "invalid_type", "empty_string")

AZURE = Dialect(
    "azure",
    base="/openai/deployments/gpt-image-2",
    route="/openai/deployments/{deployment}",
    query=("api-version", "2025-04-01-preview"),
    keys=("api-key",),
    profile="openai",
    reading=Reading(model="gpt-image-2", forced_format="b64_json"),
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
    data_uri=True,
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
)
"""Assumed: that fields of OpenAI's which it does not document are refused, and in OpenAI's shape."""

LOCALAI = Dialect(
    "localai",
    reading=Reading(
        ignores_unknown=True, default_format="url", model="stablediffusion", size="square_unless_given"
    ),
    files="/generated-images/",
    signed=False,
)
SDSERVER = Dialect(
    "sdserver",
    reading=Reading(ignores_unknown=True, model="stable-diffusion", forced_format="b64_json"),
)
VLLM_OMNI = Dialect(
    "vllm-omni",
    reading=Reading(extras=_DIFFUSION, formats=_B64_ONLY, forced_format="b64_json", model="Qwen/Qwen-Image"),
    listed=_FASTAPI_MISTAKES,
)
SGLANG = Dialect(
    "sglang",
    reading=Reading(extras=_DIFFUSION, formats=_B64_ONLY, forced_format="b64_json", model="Qwen/Qwen-Image"),
    listed=_FASTAPI_MISTAKES,
)
"""Assumed: errors in FastAPI's shape, as the framework has them."""

LITELLM = Dialect(
    "litellm",
    keys=("authorization",),
    reading=Reading(extras=(("disable_fallbacks", bool), ("user", str)), default_format="b64_json"),
)
"""Assumed: the status, as text, for a code."""

SERVERS = tuple(
    replace(
        row,
        answer=recorded(row.name, "answered"),
        error=recorded(row.name, "refused"),
        problems=recorded(row.name, "invalid"),
    )
    for row in (AZURE, XAI, GEMINI, TOGETHER, LOCALAI, SDSERVER, VLLM_OMNI, SGLANG, LITELLM)
)
