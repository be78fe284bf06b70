"""The configuration from options and a scenario file."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from runner.simulator.answers.document import Latency
from runner.simulator.config import DEFAULT_LATENCY, P95_TO_MEDIAN, REALISTIC_LATENCY, SimulatorConfig
from runner.simulator.dialects import DIALECTS
from schemas.errors import JobError


def configure(
    *,
    scenario: Path | None = None,
    seed: int | None = None,
    profile: str | None = None,
    dialect: str | None = None,
    latency: float | None = None,
    rpm: float | None = None,
    ipm: float | None = None,
    realistic: bool = False,
) -> SimulatorConfig:
    """The configuration from a scenario file and options; an option that is not None goes before the file.

    latency: median seconds, 0 for none; the p95 is then 2.5 times as much. rpm, ipm: requests and images a window.
    realistic: image files as large as real ones and, where neither an option nor the file tells a latency, a real one.
    Raises JobError (exit 2) naming every mistake of the scenario file, or a dialect that there is not.
    """
    if dialect is not None and dialect not in DIALECTS:
        close = get_close_matches(dialect, DIALECTS, n=1, cutoff=0.5)
        fix = (f"did you mean {close[0]!r}? " if close else "") + f"valid: {', '.join(DIALECTS)}"
        raise JobError(f"unknown dialect {dialect!r}", fix=fix)
    config = SimulatorConfig() if scenario is None else _read(scenario)
    if latency is not None:
        config = replace(config, latency=Latency(latency, latency * P95_TO_MEDIAN))
    elif realistic and config.latency == DEFAULT_LATENCY:
        config = replace(config, latency=REALISTIC_LATENCY)
    limits = replace(
        config.limits,
        rpm=config.limits.rpm if rpm is None else rpm,
        ipm=config.limits.ipm if ipm is None else ipm,
    )
    return replace(
        config,
        limits=limits,
        realistic=realistic or config.realistic,
        seed=config.seed if seed is None else seed,
        profile=config.profile if profile is None else profile,
        dialect=config.dialect if dialect is None else dialect,
    )


def _read(path: Path) -> SimulatorConfig:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(
            f"the scenario {path} cannot be read: {error.strerror}",
            fix="give the path of a scenario file (TOML)",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise JobError(
            f"{path} is not TOML: {error}", fix="see https://toml.io; texts stand in quotes"
        ) from None
    from runner.simulator.scenario import (
        read_scenario,
    )  # imports pydantic, which takes longer than the server's start

    return read_scenario(document, str(path))
