"""Settings from environment variables. Loaded only where one is set: pydantic-settings takes a tenth of a run's start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from runner.config.problems import PREFIX
from schemas.job import Job


class _Variables(BaseSettings, Job):
    """The job as environment variables: `IMAGEMILL_LIMITS__RPM`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", enable_decoding=False)


def variable_settings(variables: Mapping[str, str]) -> dict[str, Any]:
    """The job's tables and keys among the variables, as text. Names count in any case; empty values count as not set."""
    source = EnvSettingsSource(_Variables)
    source.env_vars = {name.lower(): value for name, value in variables.items() if value}
    return source()
