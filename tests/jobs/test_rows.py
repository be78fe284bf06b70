"""From records to rows: ids, repeats, fingerprints, and every reason why a row cannot be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rows import RecordColumns, RequestDefaults, RowReader
from schemas.request import FIELDS, MAX_PROMPT_CHARS, ImageRequest
from schemas.row import Row, RowProblem


@dataclass(frozen=True)
class Record:
    """One record as a manifest reader gives it."""

    prompt: str | None = "a fox"
    id: str | None = None
    fields: dict[str, str | None] = field(default_factory=dict)
    malformed: str | None = None


def columns(records: Sequence[Record], start: int = 0) -> RecordColumns:
    """The records as columns; the roles that any of them sets are there."""
    names = sorted({name for record in records for name in record.fields})
    roles: dict[str, list[str | None]] = {
        name: [record.fields.get(name) for record in records] for name in names
    }
    roles["prompt"] = [record.prompt for record in records]
    roles["id"] = [record.id for record in records]
    return RecordColumns(
        positions=range(start, start + len(records)),
        locations=[f"line {start + i + 2}" for i in range(len(records))],
        roles=roles,
        malformed={i: record.malformed for i, record in enumerate(records) if record.malformed},
    )


def read(
    *records: Record,
    defaults: RequestDefaults | None = None,
    names: dict[str, str] | None = None,
    batch: int = 1000,
) -> list[Row | RowProblem]:
    """The rows of a manifest of these records, read in batches."""
    reader = RowReader(defaults or RequestDefaults(), names or {})
    rows: list[Row | RowProblem] = []
    for start in range(0, len(records), batch):
        rows += reader.read(columns(records[start : start + batch], start))
    return rows


def problem(
    record: Record, *, names: dict[str, str] | None = None, defaults: RequestDefaults | None = None
) -> str:
    """The message of the only row, which must be a problem."""
    (row,) = read(record, names=names, defaults=defaults)
    assert isinstance(row, RowProblem), row
    return row.message


def sent(record: Record, defaults: RequestDefaults | None = None) -> ImageRequest:
    """The request of the only row, which must be sendable."""
    (row,) = read(record, defaults=defaults)
    assert isinstance(row, Row), row
    return row.request


PROMPTS = st.sampled_from(["a fox", "a fox ", "an owl", "NA", "007"])
GIVEN_IDS = st.none() | st.sampled_from(["", "1", "01", "1e5", "x"])
OWN = st.dictionaries(
    st.sampled_from(["size", "quality", "n"]), st.sampled_from(["", "1", "2", "auto"]), max_size=2
)
RECORDS = st.builds(Record, PROMPTS, GIVEN_IDS, OWN.map(dict)) | st.just(
    Record(None, None, {}, "line 9: no record")
)
MANIFESTS = st.lists(RECORDS, max_size=25)


@given(MANIFESTS)
def test_rows_are_conserved_in_order(records: list[Record]) -> None:
    rows = read(*records)
    assert [row.position for row in rows] == list(range(len(records)))
    prompts = [row.request.prompt if isinstance(row, Row) else row.prompt for row in rows]
    assert prompts == [record.prompt for record in records]


@given(MANIFESTS)
def test_given_ids_arrive_unchanged(records: list[Record]) -> None:
    rows = read(*records)
    assert [row.row_id for row, record in zip(rows, records, strict=True) if record.id] == [
        record.id for record in records if record.id
    ]


@given(MANIFESTS, st.integers(1, 7))
def test_rows_do_not_depend_on_how_the_manifest_is_cut_into_batches(
    records: list[Record], batch: int
) -> None:
    assert read(*records, batch=batch) == read(*records)


@given(MANIFESTS, MANIFESTS)
def test_appending_rows_changes_no_row_before_them(records: list[Record], more: list[Record]) -> None:
    assert read(*records, *more)[: len(records)] == read(*records)


@given(MANIFESTS)
def test_ids_of_sendable_rows_are_unique(records: list[Record]) -> None:
    ids = [row.row_id for row in read(*records) if isinstance(row, Row)]
    assert len(ids) == len(set(ids))


@given(MANIFESTS)
def test_fingerprints_are_unique_and_sixteen_bytes(records: list[Record]) -> None:
    prints = [row.fingerprint for row in read(*records) if isinstance(row, Row)]
    assert len(prints) == len(set(prints))
    assert {len(print_) for print_ in prints} <= {16}


@given(MANIFESTS, st.randoms(use_true_random=False))
def test_reordering_makes_no_new_work(records: list[Record], random: object) -> None:
    """The first of a repeated id stands, so that only manifests without repeats keep their work when shuffled."""
    ids = [record.id for record in records if record.id]
    kept = [record for record in records if not record.id or ids.count(record.id) == 1]
    shuffled = list(kept)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def prints(rows: list[Row | RowProblem]) -> set[bytes]:
        return {row.fingerprint for row in rows if isinstance(row, Row)}

    assert prints(read(*shuffled)) == prints(read(*kept))


@given(RECORDS, RECORDS)
def test_fingerprints_tell_rows_apart_by_id_prompt_and_own_fields(one: Record, other: Record) -> None:
    def identity(record: Record) -> tuple[object, ...]:
        return record.id or None, record.prompt, {name: text for name, text in record.fields.items() if text}

    rows = [*read(one), *read(other)]
    if all(isinstance(row, Row) for row in rows):
        prints = [row.fingerprint for row in rows if isinstance(row, Row)]
        assert (prints[0] == prints[1]) is (identity(one) == identity(other))


@given(RECORDS)
def test_fingerprints_do_not_hang_on_the_jobs_defaults(record: Record) -> None:
    defaults = RequestDefaults((("model", "m"), ("quality", "high")), (("seed", 5),), ("background",))
    bare, with_defaults = read(record), read(record, defaults=defaults)
    if isinstance(bare[0], Row):
        assert isinstance(with_defaults[0], Row)
        assert bare[0].fingerprint == with_defaults[0].fingerprint


def test_parts_of_a_row_do_not_run_together() -> None:
    rows = read(Record("bc", "a"), Record("c", "ab"), Record("a", "bc"))
    assert len({row.fingerprint for row in rows if isinstance(row, Row)}) == 3


def test_rows_without_ids_are_named_by_content_and_occurrence() -> None:
    fox, owl, second, third = (row.row_id for row in read(Record(), Record("an owl"), Record(), Record()))
    assert len(fox) == 16
    assert (second, third) == (f"{fox}-1", f"{fox}-2")
    assert owl not in (fox, second, third)


def test_an_empty_id_is_derived_like_a_missing_one() -> None:
    assert read(Record(id=""))[0].row_id == read(Record(id=None))[0].row_id


def test_the_first_of_a_repeated_id_stands_and_the_message_tells_what_to_do() -> None:
    first, second = read(Record("a", "x"), Record("b", "x"), names={"id": "key"})
    assert isinstance(first, Row)
    assert isinstance(second, RowProblem)
    assert second.message == (
        "line 3: column 'key' repeats 'x'; the first row with it stands. "
        "Give each row its own id, or keep the first of each with --distinct key"
    )


def test_a_malformed_record_keeps_its_message_and_its_place() -> None:
    bad, good = read(Record(None, malformed="line 2: unclosed quote"), Record("b", "x"))
    assert isinstance(bad, RowProblem)
    assert (bad.position, bad.message) == (0, "line 2: unclosed quote")
    assert isinstance(good, Row)
    assert good.position == 1


@pytest.mark.parametrize(
    ("prompt", "fault"), [(None, "holds no text"), ("", "is empty"), (" ", "is empty"), ("\n\t ", "is empty")]
)
def test_a_row_needs_a_prompt(prompt: str | None, fault: str) -> None:
    assert problem(Record(prompt), names={"prompt": "caption"}) == (
        f"line 2: column 'caption' {fault}; every row needs a prompt"
    )


def test_the_longest_prompt_is_sent_and_a_longer_one_is_not() -> None:
    assert len(sent(Record("x" * MAX_PROMPT_CHARS)).prompt) == MAX_PROMPT_CHARS
    message = problem(Record("x" * (MAX_PROMPT_CHARS + 1)))
    assert "32,001 characters" in message
    assert len(message) < 200


@pytest.mark.parametrize(
    "prompt", ["NA", "null", "  spaced  ", "\x1b[31m", "{date}", "東京", "\ud800", "a\x00b", "=1+1"]
)
def test_prompts_are_sent_as_they_are(prompt: str) -> None:
    assert sent(Record(prompt)).prompt == prompt


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n", "1", 1),
        ("n", "10", 10),
        ("n", " 3 ", 3),
        ("n", "2.0", 2),
        ("n", "+4", 4),
        ("output_compression", "0", 0),
        ("output_compression", "100", 100),
        ("size", "1234x567", "1234x567"),
        ("quality", "ultra", "ultra"),
        ("model", "007", "007"),
    ],
)
def test_own_fields(name: str, text: str, value: object) -> None:
    assert sent(Record(fields={name: text})).params == ((name, value),)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n", "0"),
        ("n", "11"),
        ("n", "-1"),
        ("n", "1.5"),
        ("n", "two"),
        ("n", "1e0"),
        ("n", "9" * 4000),
        ("output_compression", "101"),
        ("output_compression", "-0.5"),
    ],
)
def test_numbers_out_of_bounds_are_told_with_line_column_value_and_bounds(name: str, text: str) -> None:
    message = problem(Record(fields={name: text}), names={name: "col"})
    low, high = FIELDS[name].minimum, FIELDS[name].maximum
    assert message.startswith(f"line 2: column 'col' is '{text[:5]}")
    assert message.endswith(f"{name} must be a whole number from {low} to {high}")
    assert len(message) < 200


@pytest.mark.parametrize("form", ["jpeg", "jpg"])
def test_a_transparent_jpeg_cannot_be_sent_wherever_its_halves_come_from(form: str) -> None:
    own = Record(fields={"background": "transparent", "output_format": form})
    assert "cannot be stored as jpeg" in problem(own)
    defaults = RequestDefaults((("background", "transparent"), ("output_format", form)))
    assert "cannot be stored as jpeg" in problem(Record(), defaults=defaults)
    assert sent(Record(fields={"output_format": "png"}), defaults).get("output_format") == "png"


def test_a_rows_own_field_wins_over_the_default_and_an_empty_one_does_not() -> None:
    defaults = RequestDefaults((("model", "m"), ("size", "auto")))
    request = sent(Record(fields={"model": "", "size": "512x512"}), defaults)
    assert request.params == (("model", "m"), ("size", "512x512"))


def test_parameters_are_sent_in_the_services_order_with_extras_last() -> None:
    defaults = RequestDefaults((("quality", "low"), ("model", "m")), (("seed", 5), ("a", True)))
    request = sent(Record(fields={"n": "2", "size": "auto"}), defaults)
    assert [name for name, _ in request.params] == ["model", "size", "quality", "n", "seed", "a"]


def test_a_dropped_field_is_not_sent_even_if_the_row_sets_it() -> None:
    defaults = RequestDefaults((("response_format", "url"),), dropped=("response_format",))
    assert sent(Record(fields={"response_format": "b64_json"}), defaults).params == ()


def test_unfamiliar_values_are_warned_of_and_sent() -> None:
    (row,) = read(Record(fields={"quality": "ultra", "size": "3840x2160", "background": "blue"}))
    assert isinstance(row, Row)
    assert [warning.partition(" ")[0] for warning in row.warnings] == ["quality", "background"]
    assert row.request.get("quality") == "ultra"


def test_a_problem_keeps_the_rows_fields_for_the_table() -> None:
    (row,) = read(Record(prompt="", id="x", fields={"size": "auto", "n": "99"}))
    assert isinstance(row, RowProblem)
    assert (row.row_id, row.fields) == ("x", (("size", "auto"), ("n", "99")))


def test_many_different_fields_do_not_fill_the_memory_of_the_reader() -> None:
    records = [Record(fields={"size": f"{i}x{i}"}) for i in range(100, 10_250)]
    rows = read(*records)
    assert [row.request.get("size") for row in rows if isinstance(row, Row)] == [
        record.fields["size"] for record in records
    ]


def test_a_malformed_row_keeps_what_can_be_told_of_it() -> None:
    rows = read(
        Record(None, "7", {"size": "1x1"}, "line 2: bad"),
        Record("a fox", None, {}, "line 3: bad"),
        Record("a fox", None),
        Record("an owl", "7"),
        Record(None, None, {}, "line 6: bad"),
    )
    first, second, third, fourth, last = rows
    assert isinstance(first, RowProblem) and isinstance(second, RowProblem) and isinstance(last, RowProblem)
    assert (first.row_id, first.prompt, first.message, first.fields) == (
        "7",
        None,
        "line 2: bad",
        (("size", "1x1"),),
    )
    assert (second.prompt, second.message) == ("a fox", "line 3: bad")
    assert third.row_id == read(Record("a fox"))[0].row_id, "no row that cannot be sent numbers one that can"
    assert isinstance(fourth, Row) and fourth.row_id == "7", "the row that can be sent has the id"
    assert last.row_id == f"{second.row_id}-1", "rows of which nothing is known are numbered"


def test_odd_prompts_are_sent_with_a_warning() -> None:
    row, other = read(Record("# a", "1"), Record("#b", "2", {"quality": "odd"}))
    assert isinstance(row, Row) and isinstance(other, Row)
    assert row.warnings == (
        "the prompt begins with # like a comment and is sent as it is (the first: line 2, '# a')",
    )
    assert row.warnings[0] in other.warnings and len(other.warnings) == 2
