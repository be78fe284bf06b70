"""Files of picks: what is read of them, also when a person has edited them, and what is told of a line that is none."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from runner.results.picks import Pick, Picks, read_picks
from schemas.errors import JobError

DIGEST = "ab" * 32
HEADER = "row_id,image_index,sha256,rating,tag,note\n"
TABLE = pa.table(
    {
        "row_id": ["fox", "fox", "owl"],
        "image_index": pa.array([0, 1, 0], pa.int16()),
        "sha256": [DIGEST, "cd" * 32, None],
        "tag": ["the manifest's", "own", "column"],
    }
)


def picks_of(tmp_path: Path, text: str | bytes) -> Picks:
    path = tmp_path / "picks.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_picks(path)


@pytest.mark.parametrize(
    ("line", "image", "pick"),
    [
        (f"fox,0,{DIGEST},5,good,see this", ("fox", 0), Pick(DIGEST, 5, "good", "see this")),
        (f"fox,0,{DIGEST.upper()},x,,", ("fox", 0), Pick(DIGEST, 0, "", "")),
        ("fox,0", ("fox", 0), Pick("", None, "", "")),
        ('"a, b\nc",3,,,,', ("a, b\nc", 3), Pick("", None, "", "")),
        ("'=evil(),0,,1,'+t,'@n", ("=evil()", 0), Pick("", 1, "+t", "@n")),
        ("'tis,0,,,,", ("'tis", 0), Pick("", None, "", "")),
    ],
)
def test_a_line_is_a_pick_of_one_image(tmp_path: Path, line: str, image: tuple[str, int], pick: Pick) -> None:
    assert picks_of(tmp_path, HEADER + line + "\n").by_image == {image: pick}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_as_spreadsheets_save_it(tmp_path: Path, delimiter: str) -> None:
    text = "\ufeffRating,ROW_ID ,image_index\r\n4,fox,1\r\n,,\r\n".replace(",", delimiter)
    assert picks_of(tmp_path, text).by_image == {("fox", 1): Pick("", 4, "", "")}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (",0,,,,", "row_id is empty"),
        ("fox,-1,,,,", "image_index '-1' is no number from 0"),
        ("fox,,,,,", "image_index '' is no number from 0"),
        ("fox,99999,,,,", "image_index '99999' is no number from 0"),
        ("fox,0,,6,,", "rating '6' is not 1 to 5, 0 or x"),
        (f"fox,0,,{'9' * 5000},,", "is not 1 to 5, 0 or x"),
        ("fox,0,abc,,,", "sha256 'abc' is no digest"),
        ("fox,0,,,,\nfox,0,,,,", "line 3: fox, image 0: picked twice"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(JobError) as refused:
        picks_of(tmp_path, HEADER + line + "\n")
    assert problem in refused.value.message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has no column row_id and image_index"),
        (b"row_id\nfox\n", "has no column image_index"),
        (b"row_id,image_index\n\xff,0\n", "not UTF-8 text (byte 19)"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(JobError) as refused:
        picks_of(tmp_path, content)
    assert told in refused.value.message


def test_ten_bad_lines_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(JobError) as refused:
        picks_of(tmp_path, HEADER + "fox,?,,,,\n" * 12)
    lines = refused.value.message.splitlines()
    assert lines[0].endswith("12 lines cannot be read")
    assert (len(lines), lines[-1].strip()) == (12, "… and 2 more")


def test_picked_lines_have_rating_tag_and_note_and_stale_ones_are_left_out(tmp_path: Path) -> None:
    picks = picks_of(tmp_path, HEADER + f"fox,0,{DIGEST},5,g,n\nfox,1,{DIGEST},4,,\nowl,0,,1,,\nelk,0,,,,\n")
    found = picks.picked(TABLE)
    assert found.schema == picks.schema(TABLE.schema)
    assert found.to_pylist() == [
        {
            "row_id": "fox",
            "image_index": 0,
            "sha256": DIGEST,
            "manifest_tag": "the manifest's",
            "rating": 5,
            "tag": "g",
            "note": "n",
        },
        {
            "row_id": "owl",
            "image_index": 0,
            "sha256": None,
            "manifest_tag": "column",
            "rating": 1,
            "tag": "",
            "note": "",
        },
    ]
    assert (picks.used, picks.stale, picks.unmet()) == (2, 1, [("elk", 0)])


def test_picks_of_another_folder_are_refused(tmp_path: Path) -> None:
    picks = picks_of(tmp_path, HEADER + "elk,0,,,,\n")
    assert picks.picked(TABLE).num_rows == 0
    with pytest.raises(JobError, match="none of its 1 pick is of this folder"):
        picks.refuse_foreign()


def test_no_picks_are_of_any_folder(tmp_path: Path) -> None:
    picks_of(tmp_path, HEADER).refuse_foreign()
