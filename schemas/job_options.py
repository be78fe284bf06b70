"""The options that set keys of the job file, for the command line and Python alike."""

from __future__ import annotations

from typing import NamedTuple

from schemas.providers import DEFAULT_PROFILE, PROFILES


class JobOption(NamedTuple):
    """One option. metavar: what its value is; empty for a switch. choices: what completion offers.

    many: may be given several times.
    """

    flag: str
    key: str
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False


_GROUPS: dict[str, tuple[JobOption, ...]] = {
    "Input": (
        JobOption("--limit", "input.limit", "N", "only the first N rows"),
        JobOption("--sample", "input.sample", "N", "N rows chosen at random"),
        JobOption("--seed", "input.seed", "S", "seed of --sample (default 0)"),
        JobOption("--prompt-col", "columns.prompt", "COL", "manifest column that holds the prompt"),
        JobOption("--id-col", "columns.id", "COL", "manifest column that holds the row's id"),
        JobOption("--distinct", "input.distinct", "COL", "keep the first row of each value of this column"),
        JobOption(
            "--on-change",
            "run.on_change",
            "stop|keep|regenerate",
            "rows edited since their image was made (default stop)",
            ("stop", "keep", "regenerate"),
        ),
    ),
    "Request defaults": (
        JobOption("--model", "request.model", "NAME", "model (default: the profile's)"),
        JobOption("--size", "request.size", "WxH", "pixels such as 1024x1024, or auto"),
        JobOption(
            "--quality",
            "request.quality",
            "NAME",
            "auto, low, medium, high, …",
            ("auto", "low", "medium", "high"),
        ),
        JobOption(
            "--background",
            "request.background",
            "NAME",
            "auto, opaque or transparent",
            ("auto", "opaque", "transparent"),
        ),
        JobOption("--moderation", "request.moderation", "NAME", "auto or low", ("auto", "low")),
        JobOption("--n", "request.n", "N", "images made from each prompt, 1 to 10"),
        JobOption(
            "--output-format", "request.output_format", "NAME", "png, jpeg, webp, …", ("png", "jpeg", "webp")
        ),
        JobOption("--output-compression", "request.output_compression", "0-100", "for jpeg and webp"),
        JobOption(
            "--response-format", "request.response_format", "NAME", "url or b64_json", ("url", "b64_json")
        ),
    ),
    "Endpoint": (
        JobOption("--simulate", "simulate", "", "use the embedded simulator: no key, no cost"),
        JobOption(
            "--profile",
            "endpoint.profile",
            "NAME",
            f"the service (default: {DEFAULT_PROFILE})",
            tuple(PROFILES),
        ),
        JobOption(
            "--base-url", "endpoint.base_url", "URL", "any other service, up to its version path (…/v1)"
        ),
        JobOption(
            "--new-endpoint",
            "run.new_endpoint",
            "",
            "go on in a folder whose last run went to another service",
        ),
        JobOption(
            "--allow-http", "endpoint.allow_http", "", "allow plain http to a host that is not this machine"
        ),
        JobOption(
            "--dialect", "endpoint.dialect", "NAME", "how the service is spoken to (default auto)", ("auto",)
        ),
        JobOption("--api-key-env", "endpoint.api_key_env", "NAME", "environment variable that holds the key"),
        JobOption(
            "--timeout", "endpoint.timeout", "SECONDS", "one attempt, from send to last byte (default 600)"
        ),
    ),
    "Limits": (
        JobOption("--rpm", "limits.rpm", "N", "requests a minute"),
        JobOption("--ipm", "limits.ipm", "N", "images a minute"),
        JobOption("--tpm", "limits.tpm", "N", "tokens a minute"),
        JobOption(
            "--concurrency", "limits.concurrency", "N", "most requests in flight; imagemill adapts below it"
        ),
    ),
    "Money": (
        JobOption("--max-cost", "budget.max_cost", "USD", "never spend more, over all runs of this folder"),
        JobOption(
            "--max-requests", "budget.max_requests", "N", "never send more, over all runs of this folder"
        ),
        JobOption("--price", "budget.price", "USD", "an image, where the service has no price table"),
    ),
    "Failure": (
        JobOption("--attempts", "retry.attempts", "N", "requests for a row, safe failures only (default 5)"),
        JobOption(
            "--on-ambiguous",
            "retry.on_ambiguous",
            "park|retry",
            "when a request may have been paid for",
            ("park", "retry"),
        ),
        JobOption(
            "--ambiguous-budget",
            "retry.ambiguous_budget",
            "N",
            "requests that --on-ambiguous retry may repeat",
        ),
        JobOption(
            "--give-up", "retry.give_up", "TIME", "nothing but refusals for so long: stop (default 10m)"
        ),
        JobOption("--canary", "run.canary", "N", "send N rows first, and stop when all of them fail"),
        JobOption(
            "--max-error-rate",
            "run.max_error_rate",
            "SHARE",
            "stop when more of the last 100 rows failed (0.5)",
        ),
    ),
    "Time": (
        JobOption("--max-duration", "run.max_duration", "TIME", "end the run after so long, resumable (6h)"),
        JobOption("--drain", "run.drain", "TIME", "wait for answers in flight after Ctrl-C (default 120s)"),
        JobOption("--wait-lock", "run.wait_lock", "TIME", "wait for another run of this folder or job (10m)"),
        JobOption("--deadline", "run.deadline", "CLOCK", "end the run at this local time (06:00), resumable"),
        JobOption("--date", "date", "DAY", "what {date} means: 2026-11-21, yesterday, today (default)"),
    ),
    "Output": (
        JobOption(
            "--out", "out", "DIR", "output folder (default runs/<manifest name>); the same again resumes"
        ),
        JobOption(
            "--progress",
            "output.progress",
            "MODE",
            "auto, rich, plain or none",
            ("auto", "rich", "plain", "none"),
        ),
        JobOption("--metrics-file", "run.metrics_file", "FILE", "figures for Prometheus' textfile collector"),
        JobOption(
            "--notify", "notify.urls", "URL", "tell of failures through apprise; or env:NAME", many=True
        ),
        JobOption("--ping-url", "run.ping_url", "URL", "dead-man's switch (healthchecks.io); or env:NAME"),
        JobOption("--log-format", "output.log_format", "NAME", "console or json", ("console", "json")),
    ),
}


JOB_OPTIONS: tuple[JobOption, ...] = tuple(option for group in _GROUPS.values() for option in group)
