"""Services as data: where they are, which key they take, what they send and charge.

Facts about services and their sources are here and nowhere else; code asks a profile instead of naming a service.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.failures import Billed


@dataclass(frozen=True, slots=True, eq=False)
class PriceTable:
    """List prices of one service. Two tables are never equal, so that what is found in one can be remembered by it.

    source, date: where and when the figures were published; shown beside every estimate.
    per_image: (model prefix, size, quality) -> USD an image; size `*` matches any. The longest model prefix wins.
    input_per_token, output_per_token: USD a token, applied to reported `usage`.
    """

    source: str
    date: str
    per_image: dict[tuple[str, str, str], float]
    input_per_token: float
    output_per_token: float


@dataclass(frozen=True, slots=True)
class Profile:
    """One service.

    base_url: up to and including the version path. key_env: environment variables to read, in order.
    dropped: request fields that this service refuses; they are not sent, with one warning.
    revises_prompts: whether answers carry `revised_prompt`.
    honours_idempotency_key: whether a second request with the same `Idempotency-Key` is not charged again.
    server_error_billed: whether a 500 with the service's own JSON error may have been charged.
    key_header: where the key goes; `Authorization` carries it as a Bearer token.
    renamed: request fields that have another name there, as `schemas.task_dialects` has them.
    dialect, task_models: how it speaks of tasks (see `schemas.task_dialects`), and the models it is asked so for.
    address_form: what a base URL looks like, where there is one for each customer (`base_url` is empty then).
    hosts, path: endings of host names, and a regular expression for the end of a path, by which a base URL is known as its.
    base_url_env: environment variable that moves the base URL; "" for none.
    publishes_prices: whether `prices` are its own; else they are what another service charges for the same models.
    own_document: whether requests and answers are as its own document has them, instead of OpenAI's: it takes
    `response_format` for every model, none of DALL·E's fields, and does not repeat settings in its answers.
    simulated_as: profile whose documented behaviour the simulator takes for this one, whose protocol it speaks under
    this one's name; "" where the behaviour is this one's own.
    """

    name: str
    base_url: str
    model: str | None
    key_env: tuple[str, ...]
    prices: PriceTable | None = None
    dropped: tuple[str, ...] = ()
    revises_prompts: bool = False
    honours_idempotency_key: bool = False
    server_error_billed: Billed = Billed.NO
    key_header: str = "Authorization"
    renamed: tuple[tuple[str, str], ...] = ()
    dialect: str = "auto"
    task_models: tuple[str, ...] = ()
    address_form: str = "https://host/v1"
    hosts: tuple[str, ...] = ()
    path: str = ""
    base_url_env: str = ""
    publishes_prices: bool = True
    own_document: bool = False
    simulated_as: str = ""


DALLE_FIELDS = ("response_format",)
"""Fields that services refuse, but for their DALL·E models."""

OPENAI_PRICES = PriceTable(
    source="OpenAI list prices",
    date="2026-11-22",
    per_image={
        ("gpt-image-1-mini", "1024x1024", "low"): 0.005,
        ("gpt-image-1-mini", "1024x1024", "medium"): 0.011,
        ("gpt-image-1-mini", "1024x1024", "high"): 0.036,
        ("gpt-image-1-mini", "*", "low"): 0.006,
        ("gpt-image-1-mini", "*", "medium"): 0.015,
        ("gpt-image-1-mini", "*", "high"): 0.052,
        ("gpt-image-1.5", "*", "low"): 0.009,
        ("gpt-image-1.5", "*", "medium"): 0.034,
        ("gpt-image-1.5", "*", "high"): 0.133,
        ("gpt-image-2", "1024x1024", "low"): 0.006,
        ("gpt-image-2", "1024x1024", "medium"): 0.053,
        ("gpt-image-2", "1024x1024", "high"): 0.211,
        ("gpt-image-2", "1536x1024", "low"): 0.005,
        ("gpt-image-2", "1536x1024", "medium"): 0.041,
        ("gpt-image-2", "1536x1024", "high"): 0.165,
        ("gpt-image-2", "1024x1536", "low"): 0.005,
        ("gpt-image-2", "1024x1536", "medium"): 0.041,
        ("gpt-image-2", "1024x1536", "high"): 0.165,
        ("gpt-image-2", "*", "low"): 0.012,
        ("gpt-image-2", "*", "medium"): 0.1,
        ("gpt-image-2", "*", "high"): 0.4,
    },
    input_per_token=5e-6,
    output_per_token=30e-6,
)
"""Developer pages and published quotes of them. Sizes without a published figure take a cautious upper one."""

DEFAULT_MODEL = "gpt-image-2-official"
"""Sent where neither the user nor the profile names a model: no service agrees with another on its own default."""

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "dieyuyun",
            "https://open.dieyuyun.com/v1",
            DEFAULT_MODEL,
            ("DIEYUYUN_API_KEY", "IMAGEMILL_API_KEY"),
            prices=OPENAI_PRICES,
            revises_prompts=True,
            dialect="dieyuyun",
            task_models=("gpt-image-2",),
            publishes_prices=False,
            own_document=True,
        ),
        Profile(
            "openai",
            "https://api.openai.com/v1",
            "gpt-image-2",
            ("OPENAI_API_KEY",),
            prices=OPENAI_PRICES,
            dropped=("response_format",),
            base_url_env="OPENAI_BASE_URL",
        ),
        Profile(
            "azure",
            "",
            "gpt-image-2",
            ("AZURE_OPENAI_API_KEY", "IMAGEMILL_API_KEY"),
            prices=OPENAI_PRICES,
            dropped=("response_format",),
            key_header="api-key",
            address_form="'https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=VERSION'",
            hosts=(".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"),
            path=r"/openai/deployments/[^/]+$",
            simulated_as="openai",
        ),
        Profile(
            "xai",
            "https://api.x.ai/v1",
            "grok-imagine-image",
            ("XAI_API_KEY", "IMAGEMILL_API_KEY"),
            dropped=("quality", "background", "moderation", "output_format", "output_compression"),
            renamed=(("size", "aspect_ratio"),),
            revises_prompts=True,
            simulated_as="openai",
        ),
        Profile(
            "together",
            "https://api.together.xyz/v1",
            "black-forest-labs/FLUX.1-schnell",
            ("TOGETHER_API_KEY", "IMAGEMILL_API_KEY"),
            dropped=("quality", "background", "moderation", "output_format", "output_compression"),
            renamed=(("size", "width+height"), ("response_format", "response_format:base64")),
            simulated_as="openai",
        ),
    )
}
"""Profiles by name. dieyuyun publishes no price: its estimate is OpenAI's list price and says so."""

DEFAULT_PROFILE = "dieyuyun"
"""Of a job that names none."""


def alternatives(names: Iterable[str]) -> str:
    """Names as a choice in words: `one, another or a third`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


CUSTOM_KEY_ENV = ("IMAGEMILL_API_KEY", "OPENAI_API_KEY")
"""Where the key for a `base_url` of the user's own is looked up when `api_key_env` is not set."""


SIMULATED_KEY = "simulated"
