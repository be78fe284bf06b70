"""The bench beside the peers works, on a small scale: every line is there, and every byte that was received is right."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.peers import pictures, table
from tests.bench.peers.contestants import AIOHTTP, INSIDE, LIMIT, MILL, Ground, Task
from tests.bench.peers.goals import GOALS, Reached
from tests.bench.peers.measuring import Failed
from tests.bench.peers.plot import IN_FLIGHT, Panel, drawn
from tests.bench.peers.programs import LoadServer, Serving, compiled
from tests.bench.peers.turns import Player, repetitions

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) here")

IMAGES = 20


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the compiled programs and the pictures."""
    folder = tmp_path_factory.mktemp("programs")
    compiled(folder)
    pictures.write(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ground(programs: Path, tmp_path: Path) -> Ground:
    """Folders of this test's own."""
    return Ground(programs, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "closing"),
    [
        *((MILL, kind, False) for kind in ("big", "small", "url")),
        *((LIMIT, kind, False) for kind in ("big", "small")),
        *((AIOHTTP, kind, False) for kind in ("big", "url")),
        *((name, "big", True) for name in (INSIDE, AIOHTTP)),
    ],
)
def test_what_a_contestant_saves_is_what_was_sent(
    ground: Ground, name: str, kind: str, closing: bool
) -> None:
    result = ground.run(name, Task(Serving(kind, 1, closing), IMAGES, 4, check=True))
    assert result.stats["posts"] == result.stats["answered"] == IMAGES
    assert result.stats["gets"] == (IMAGES if kind == "url" else 0)
    assert 1 <= result.stats["most_in_flight"] <= 4
    assert (result.stats["connections"] > IMAGES) or not closing


def test_other_bytes_are_noticed(programs: Path, tmp_path: Path) -> None:
    right, cut = tmp_path / "right.png", tmp_path / "cut.png"
    whole = (programs / "small.3.png").read_bytes()
    right.write_bytes(whole)
    cut.write_bytes(whole[:-1])
    assert pictures.wrong(programs, "small", [(3, right), (19, right), (3, cut), (4, right)]) == [3, 4]


def test_a_client_that_saves_too_little_is_told(ground: Ground) -> None:
    with pytest.raises(Failed, match="saved 0 of 2 images"):
        ground.run(AIOHTTP, Task(Serving("big"), 2, in_flight=0, check=True))


def test_a_client_that_breaks_is_told(ground: Ground) -> None:
    with pytest.raises(Failed, match="yardstick ended with 1: no image"):
        ground.run(LIMIT, Task(Serving("url"), 1))


def test_the_server_waits_and_closes_as_told(programs: Path) -> None:
    with LoadServer(programs, Serving("small", 200)) as server:
        ask = urllib.request.Request(f"{server.base_url}/images/generations", b'{"prompt": "number 5"}')
        with urllib.request.urlopen(ask, timeout=10) as answer:  # urllib asks for the connection to be closed
            assert answer.headers["Connection"] == "close"
            assert answer.read() == (programs / "small.5.json").read_bytes()
        stats = server.stats()
        assert stats["last_s"] - stats["first_s"] >= 0.2


def test_only_its_own_turns_count() -> None:
    lines = b"".join(b'{"began": %d, "ended": %d}\n' % span for span in ((1, 2), (2, 13), (13, 25)))
    with tempfile.TemporaryFile() as out:
        out.write(lines + b'{"began": 2')
        out.flush()
        player = Player([], {}, out)
        player.turns += [(0.5, 3), (10, 14), (20, 21)]
        assert player.repetitions_s() == [1, 4, 2]


def test_a_program_that_ends_in_its_turns_is_told() -> None:
    on, ends = ([sys.executable, "-c", code] for code in ("while True: pass", "print('so soon')"))
    with pytest.raises(Failed, match="ended: so soon"):
        repetitions([on, ends], {}, 0.0, 60.0)


def test_every_line_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = importlib.util.find_spec("openai") is not None
    monkeypatch.setattr(table, "python_with_openai", lambda: sys.executable if here else "")
    table.main(["--n", "16", "--rounds", "1", "--rows", "2000", "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "FAILED" not in printed and "skipped" not in printed
    for line in GOALS:
        assert any(text.startswith(f"{line:<12} {GOALS[line].text}") for text in printed.splitlines()), (
            printed
        )
    assert list(tmp_path.iterdir()) == []


def test_the_plot_is_a_picture_of_every_value() -> None:
    values = {MILL: [10.0, 20, 40, 80, 80, 80], LIMIT: [100.0, 200, 400, 500, 500, 500]}
    image = ElementTree.fromstring(drawn([Panel("images a second", values), Panel("memory", values)]))
    circles = [each for each in image.iter() if each.tag.endswith("circle")]
    assert len(circles) == 2 * 2 * len(IN_FLIGHT)
    assert all(40 <= float(each.attrib["cy"]) <= 300 for each in circles)


def test_what_is_reached_is_told() -> None:
    assert [GOALS["1"].verdict(value) for value in (5.9, 6, 12)] == ["MISSED", "floor", "aim"]
    assert [GOALS["4"].verdict(value) for value in (151, 150, 20)] == ["MISSED", "floor", "aim"]
    assert Reached("1", 5).missed and not Reached("1", None).missed
