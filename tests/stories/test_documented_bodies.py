"""Every body that imagemill sends is one that the service documents; what is not is refused at home or warned of.

From job and manifest to the body of the POST by the real path. Over HTTP: tests/stories/test_bodies_on_the_wire.py.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.planning.row_stream import RowStream, request_defaults
from runner.providers.profile import client_profile
from schemas.job import Job
from schemas.providers import PROFILES
from schemas.request import FIELDS
from schemas.request_rules import STANDARD_SIZES, RequestRules, rules_of
from schemas.row import Row, RowProblem
from tests.support.manifests import Record, manifest

MODELS = {
    "dieyuyun": ("gpt-image-2-official", "gpt-image-2"),
    "openai": ("gpt-image-2", "gpt-image-2-2026-04-21", "gpt-image-2.6-flare", "gpt-image-1.5"),
}
SERVICES = tuple(MODELS)


@dataclass(frozen=True, slots=True)
class Sent:
    """A manifest's row, and the body that it is sent as; None when it is not sent."""

    row: Row | RowProblem
    body: dict[str, Any] | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the row; none of a problem."""
        return self.row.warnings if isinstance(self.row, Row) else ()


def sent(service: str, request: dict[str, Any], records: Sequence[Record]) -> Iterator[Sent]:
    """The rows of these records under a job with these request defaults, in order."""
    job = Job.model_validate({"request": request, "endpoint": {"profile": service}})
    profile = PROFILES[service]
    row_stream = RowStream(manifest(records, batch=1000), job, request_defaults(job, profile))

    spoken = client_profile(job, profile, lambda: 0.0, lambda: 0.0)
    for batch in row_stream.batches():
        for row in batch.rows:
            body = dict(spoken.send(row.request).body) if isinstance(row, Row) else None
            yield Sent(row, body if body is None else json.loads(json.dumps(body)))


def wanted(service: str, request: dict[str, Any], record: Record) -> tuple[dict[str, Any], list[str]]:
    """The body by the documents' own terms, and the fields that the service is known to take from nobody."""
    own = {name: text for name, text in record.items() if name in FIELDS and text}
    numbers = {name: int(text) for name, text in own.items() if FIELDS[name].kind is int}
    known = {name: value for name, value in request.items() if name != "param"} | own | numbers
    body = {"model": PROFILES[service].model} | known
    untaken = [name for name in PROFILES[service].dropped if name in body]
    body = {name: body[name] for name in body if name not in untaken} | request.get("param", {})
    if service == "dieyuyun" and body["model"] == "gpt-image-2":
        body["async"] = True
    return {"prompt": record["prompt"], **body}, untaken


def check(service: str, request: dict[str, Any], record: Record, found: Sent) -> str:
    """Hold what is sent against the service's document; which of the three ends it is."""
    body, untaken = wanted(service, request, record)
    document = rules_of(service, body["model"])
    faults = [] if document is None else document.faults(body)
    if found.body is None:
        assert isinstance(found.row, RowProblem)
        alpha = body.get("background") == "transparent" and body.get("output_format") in ("jpeg", "jpg")
        no_size = re.fullmatch(r"auto|[1-9]\d{0,4}x[1-9]\d{0,4}", str(body.get("size", "auto"))) is None
        assert alpha or no_size or any(fault.is_refused for fault in faults), found.row.message
        return "refused"
    assert found.body == body
    assert not any(fault.is_refused for fault in faults)
    told = [warning.rpartition("; ")[0] for warning in found.warnings[len(untaken) :]]
    if document is not None:
        assert sorted(told) == sorted(fault.text for fault in faults)
    assert [warning.partition(" ")[0] for warning in found.warnings[: len(untaken)]] == untaken
    return "warned of" if faults else "valid"


def documented(document: RequestRules, name: str) -> tuple[Any, ...]:
    """Values that the document names for this field, and the ends of its bounds."""
    field = document.field(name)
    if field is None:
        return ()
    if field.minimum is not None and field.kind is int and field.maximum is not None:
        return (field.minimum, (field.minimum + field.maximum) // 2, field.maximum)
    larger = ("2048x1152", "640x1024") if field.sizes is not None else ()
    return (*field.values, *larger)


@pytest.mark.parametrize("service", SERVICES)
def test_every_combination_of_documented_values(service: str) -> None:
    """The whole product for the service's own model, each field also left out."""
    model = MODELS[service][0]
    document = rules_of(service, model)
    assert document is not None
    names = [name for name in FIELDS if name != "model"]
    choices: list[tuple[Any, ...]] = [(None, *documented(document, name)) for name in names]
    records = [
        {"id": str(number), "prompt": "a fox"}
        | {name: str(value) for name, value in zip(names, values, strict=True) if value is not None}
        for number, values in enumerate(itertools.product(*choices))
    ]
    request = {"model": model}
    ends = Counter(
        check(service, request, record, found)
        for record, found in zip(records, sent(service, request, records), strict=True)
    )
    assert ends == COMBINATIONS[service]


COMBINATIONS: dict[str, dict[str, int]] = {
    "dieyuyun": {"valid": 54_000, "refused": 3_600},
    "openai": {"valid": 22_260, "refused": 16_800, "warned of": 1_260},
}
"""What becomes of them, as counted by hand. Refused: transparent JPEG; at openai also compression below 100 of what is
neither JPEG nor WebP, and more than one SVG. Warned of: transparent GIF and SVG, of which openai says neither yes nor no."""


def values_of(name: str) -> st.SearchStrategy[str]:
    """Text that a manifest may hold for this field: known, of another service, or anything."""
    rule = FIELDS[name]
    if name == "model":
        return st.sampled_from([*MODELS["dieyuyun"], *MODELS["openai"], "new-model"])
    if rule.kind is int:
        return st.integers(rule.minimum, rule.maximum).map(str)
    sizes = st.tuples(st.integers(1, 300), st.integers(1, 300)).map(lambda s: f"{s[0] * 16}x{s[1] * 16}")
    odd = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)
    known = st.sampled_from([*rule.known, *STANDARD_SIZES])
    return known | sizes | odd if name == "size" else st.sampled_from(rule.known) | odd


RECORDS = st.fixed_dictionaries(
    # "a " before it, because `plan` warns of some words that are hardly meant as prompts
    {"prompt": st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).map("a {}".format)},
    optional={name: values_of(name) | st.just("") for name in FIELDS},
)
DEFAULTS = st.fixed_dictionaries(
    {},
    optional={name: values_of(name).map(FIELDS[name].kind) for name in FIELDS}
    | {
        "param": st.fixed_dictionaries(
            {},
            optional={
                "user": st.text(st.characters(codec="utf-8"), max_size=5),
                "complexity": st.sampled_from(["low", "extreme"]),
                "seed": st.integers(),
                "stream": st.just(False),
            },
        )
    },
)


@pytest.mark.parametrize("service", SERVICES)
@settings(max_examples=300)
@given(DEFAULTS, st.lists(RECORDS, min_size=1, max_size=4))
def test_any_values_from_anywhere(service: str, request: dict[str, Any], records: list[Record]) -> None:
    """Job defaults, extra fields and row fields in any mixture: valid, or warned of, or not sent."""
    for record, found in zip(records, sent(service, request, records), strict=True):
        check(service, request, record, found)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"output_compression": "80"},
            "output_compression 80 does not go with output_format 'png', the default, at openai; "
            "change or leave out one of them",
        ),
        (
            {"n": "2", "output_format": "svg"},
            "n 2 does not go with output_format 'svg' at openai; change or leave out one of them",
        ),
        (
            {"background": "transparent", "output_format": "jpeg"},
            "background 'transparent' cannot be stored as jpeg; set output_format to png or webp",
        ),
    ],
)
def test_what_openai_is_known_to_refuse_is_not_sent(fields: dict[str, str], message: str) -> None:
    ((found),) = sent("openai", {}, [{"prompt": "a fox", **fields}])
    assert isinstance(found.row, RowProblem)
    assert found.row.message == f"line 2: {message}"


def test_what_openai_is_known_to_refuse_may_be_fine_elsewhere() -> None:
    ((found),) = sent("dieyuyun", {}, [{"prompt": "a fox", "output_compression": "80"}])
    assert found.body == {"prompt": "a fox", "model": "gpt-image-2-official", "output_compression": 80}
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("default", "own", "is_sent"),
    [
        ("gpt-image-2", None, False),
        ("dall-e-3", None, True),
        ("dall-e-3", "gpt-image-2", False),
        ("gpt-image-2", "dall-e-3", True),
    ],
)
def test_response_format_follows_the_rows_own_model(default: str, own: str | None, is_sent: bool) -> None:
    """OpenAI's GPT image models answer 400 to it."""
    record = {"prompt": "a fox", "model": own, "response_format": "b64_json"}
    ((found),) = sent("openai", {"model": default}, [record])
    assert found.body is not None
    assert ("response_format" in found.body) is is_sent
    assert found.warnings == (() if is_sent else ("response_format is not sent: openai refuses it",))
