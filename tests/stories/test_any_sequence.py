"""Any sequence of runs, retries, edits and kills in one folder: rows are conserved, and nothing is paid for again unnamed.

Each command is held against what `sequences` says that it may send, and against the service's own account of what it was
sent. More by hand: `python -m pytest -m campaign tests/stories/test_any_sequence.py`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import random
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobs.selection import sample
from runner.app.use_cases import verify_folder
from runner.cli.main import main
from runner.ledger import completion_cache
from schemas.request import ImageRequest
from schemas.row import Row
from tests.attacks.crash.forkserver import ForkServer, Run
from tests.attacks.crash.points import CLOSING, ENGINE, OPENING, RECOVERY
from tests.attacks.faults.drive import frozen_files
from tests.support.canary import WITH_CANARY, leaks
from tests.support.sequences import (
    CALM,
    FAILED,
    PARKED,
    PENDING,
    SUCCEEDED,
    WORDS,
    Known,
    Line,
    Refused,
    Sends,
    Studio,
    Wish,
    known,
    recorded_files,
    standing,
    to_retry,
    to_run,
)

HANG_S = 60.0
PARTS: tuple[tuple[str, ...], ...] = ((), ("--limit", "2"), ("--sample", "2", "--seed", "3"))
POLICIES = ("stop", "keep", "regenerate")
KINDS = ("moderation", "server_error", "bad_content", "gateway", "disconnected")
USUAL = frozenset({FAILED, PENDING})

Kill = tuple[str, int]
"""Label of a moment, and its occurrence."""
Change = tuple[str, int, str, int]
"""What is done to the manifest, where, the word that its prompt begins with, and how many images or which version."""

Named = tuple[set[int], bool, bool]
"""Rows by their places in the manifest, whether successes are meant, and whether they get another prompt."""

places = st.integers(0, 5)
words = st.sampled_from(WORDS)
moments = st.one_of(st.sampled_from(ENGINE), st.sampled_from((*OPENING, *RECOVERY, *CLOSING)))
kills = st.one_of(st.none(), st.none(), st.tuples(moments, st.sampled_from((1, 1, 2))))
parts = st.sampled_from((*PARTS, (), ()))
policies = st.sampled_from((*POLICIES, "keep"))
edits = st.tuples(st.just("edit"), places, words, st.just(0))
changes = st.one_of(
    edits,
    st.tuples(st.just("append"), places, st.sampled_from((*WORDS, "")), st.integers(1, 2)),
    st.tuples(st.sampled_from(("edit back", "remove", "bring back", "reorder")), places, words, places),
)
maybe_changes = st.one_of(edits, changes, st.none())
named = st.tuples(st.sets(places, min_size=1, max_size=3), st.booleans(), st.booleans())
wishes = st.one_of(
    st.just(Wish()),
    st.builds(Wish, calm=st.booleans()),
    st.sampled_from(KINDS).map(lambda kind: Wish(("--error", kind), USUAL | {PARKED}, kind)),
    st.just(Wish(("--parked",), frozenset({PARKED}))),
    st.just(Wish(("--where", "error_kind == 'moderation'"), USUAL, "moderation", calm=True)),
)


class AnySequence(RuleBasedStateMachine):
    """One folder with its manifest, from its first row on."""

    studio: Studio
    server: ForkServer

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sequence-"))
        self.out = self.folder / "out"
        self.lines: list[Line] = []
        self.older: dict[str, list[str]] = {}
        self.gone: list[Line] = []
        self.made = 0
        self.acknowledged: set[tuple[str, str, int]] = set()
        self.prunable: set[tuple[str, str]] = set()
        self.studio.service.asked.clear()

    def teardown(self) -> None:
        found = leaks(self.folder)
        shutil.rmtree(self.folder)
        assert found == []

    # The manifest

    @initialize(first=st.lists(st.tuples(words, st.integers(1, 2)), min_size=2, max_size=4), part=parts)
    def begin(self, first: list[tuple[str, int]], part: tuple[str, ...]) -> None:
        for word, n in first:
            self._append(word, n)
        self._write()
        assert self._run_whole("stop", part, mapped=False)

    @rule(change=changes)
    def change(self, change: Change) -> None:
        """Edit a row, take an edit back, add, remove or bring back one, or put all in another order."""
        what, at, word, n = change
        old = self.lines[at % len(self.lines)]
        if what == "append":
            self._append(word, n)
        elif what == "edit":
            self._replace(old, self._prompt(word, old.row_id))
        elif what == "edit back":
            self._replace(old, self.older[old.row_id][n % len(self.older[old.row_id])])
        elif what == "remove" and len(self.lines) > 1:
            self.lines.remove(old)
            self.gone.append(old)
        elif what == "bring back" and self.gone:
            self.lines.insert(at, self.gone.pop())
        else:
            random.Random(at).shuffle(self.lines)
        self._write()

    # The commands

    @rule(policy=policies, part=parts, mapped=st.booleans(), kill=kills, change=maybe_changes)
    def run(
        self, policy: str, part: tuple[str, ...], mapped: bool, kill: Kill | None, change: Change | None
    ) -> None:
        """Run, perhaps after another change; what ends by itself has nothing left to do."""
        if change is not None:
            self.change(change)
        if kill is not None:
            ledger, lines = known(self.out), self._view(part)
            self._killed(self._run_command(policy, part), kill, ledger, lines, policy)
        elif self._run_whole(policy, part, mapped):
            before, asked = frozen_files(self.out), len(self.studio.service.asked)
            self._call(*self._run_command(policy, part), mapped=mapped)
            assert len(self.studio.service.asked) == asked
            assert frozen_files(self.out) == before

    @rule(wish=wishes, named=st.none() | named, mapped=st.booleans(), kill=kills)
    def retry(self, wish: Wish, named: Named | None, mapped: bool, kill: Kill | None) -> None:
        if named is not None:
            wish = self._by_id(*named)
        ledger, lines, policy = known(self.out), self._view(None), self._policy()
        if kill is not None:
            self._killed(self._retry_command(wish), kill, ledger, lines, policy, wish)
        else:
            self._retry(wish, mapped, ledger, lines, policy)

    @precondition(lambda self: self.acknowledged)
    @rule(removed=st.sampled_from((True, True, False)))
    def prune(self, removed: bool) -> None:
        code = self._call("prune", "out", "--yes", *(("--removed",) if removed else ()))
        assert code in ((0, 2) if removed else (0,))
        self._remember(
            known(self.out)
        )  # it takes in what a killed run left, as every command that writes does
        if removed and code == 0:
            made = {(row_id, prompt) for row_id, prompt, _ in self.acknowledged}
            here = {line.key for line in self.lines}
            without = {row_id for row_id, prompt in here - made}
            self.prunable |= {key for key in made - here if key[0] not in without}
        self._check_shown_files()
        self._check_recorded_files()

    # How they are carried out

    def _run_whole(self, policy: str, part: tuple[str, ...], mapped: bool) -> bool:
        """Whether it was not refused."""
        ledger, lines = known(self.out), self._view(part)
        start = len(self.studio.service.asked)
        try:
            must = to_run(lines, ledger, policy)
        except Refused:
            self._refused(self._run_command(policy, part), mapped)
            return False
        code = self._call(*self._run_command(policy, part), mapped=mapped)
        self._check_sent(start, must, lines, ledger)
        table = self._check_finished(lines, policy, ledger.attempts + must.total())
        assert code == (0 if {row["status"] for row in table} == {SUCCEEDED} else 3)
        return True

    def _by_id(self, places: set[int], again: bool, calm: bool) -> Wish:
        """A retry of rows by id, also of those that succeeded: then it is agreed to that they are paid for again."""
        lines = self._view(None)
        chosen = frozenset(lines[at % len(lines)].row_id for at in places)
        (self.folder / "rows.txt").write_text("\n".join(chosen))
        options = ("--succeeded", "--yes", "--rows", "rows.txt") if again else ("--rows", "rows.txt")
        return Wish(options, frozenset({SUCCEEDED}) if again else USUAL, rows=chosen, calm=calm)

    def _retry(self, wish: Wish, mapped: bool, ledger: Known, lines: Sequence[Line], policy: str) -> None:
        start = len(self.studio.service.asked)
        try:
            must = to_retry(lines, ledger, policy, wish)
        except Refused:
            self._refused(self._retry_command(wish), mapped)
            return
        code = self._call(*self._retry_command(wish), mapped=mapped)
        assert code in (0, 3), self.told
        self._check_sent(start, must, lines, ledger, wish)
        self._check_finished(lines, policy, ledger.attempts + must.total())

    def _refused(self, command: Sequence[str], mapped: bool) -> None:
        asked = len(self.studio.service.asked)
        assert (
            self._call(*command, mapped=mapped) == 2
        )  # takes in what a killed run left; the second changes nothing
        self._remember(known(self.out))
        before = frozen_files(self.out)
        assert self._call(*command, mapped=mapped) == 2
        assert "edited since an image was made" in self.told
        assert (frozen_files(self.out), len(self.studio.service.asked)) == (before, asked)

    def _killed(
        self,
        command: Sequence[str],
        kill: Kill,
        ledger: Known,
        lines: Sequence[Line],
        policy: str,
        wish: Wish | None = None,
    ) -> None:
        """Killed at a moment if it comes to that, otherwise ended by itself."""
        try:
            may = to_run(lines, ledger, policy) if wish is None else to_retry(lines, ledger, policy, wish)
        except Refused:
            may = Sends()
        start = len(self.studio.service.asked)
        environ = {"PATH": os.defpath, "HOME": str(self.folder), "LANG": "C.UTF-8", **WITH_CANARY}
        output, moments = str(self.folder / "output"), str(self.folder / "moments")
        run = Run(tuple(command), str(self.folder), environ, output, dict((kill,)), moments)
        code = self.server.start(run).wait(HANG_S)
        assert code in (0, 2, 3, -9), Path(f"{output}.stderr").read_text()
        sent, after = self.studio.sent(start), known(self.out)
        assert sent <= may
        assert sent.total() <= after.attempts - ledger.attempts <= may.total()
        self._check_unnamed(sent, lines, ledger, wish)
        self._remember(after)
        self._check_recorded_files()

    def _call(self, *command: str, mapped: bool = False) -> int:
        """In this process. mapped: with the map of done rows, which is else for long manifests. Sets `told`."""
        out, err = io.StringIO(), io.StringIO()
        with ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            stack.enter_context(redirect_stdout(out))
            stack.enter_context(redirect_stderr(err))
            for name, value in WITH_CANARY.items():
                patch.setenv(name, value)
            if mapped:
                patch.setattr(completion_cache, "LEAST_ROWS", 1)
            patch.chdir(self.folder)
            code = main(list(command))
        self.told = err.getvalue()
        return code

    def _run_command(self, policy: str, part: tuple[str, ...]) -> tuple[str, ...]:
        base_url = self.studio.service.base_url
        fixed = ("run", "manifest.csv", "--out", "out", "--base-url", base_url, "--size", "64x64")
        whole = ("--set", "run.max_unusable=0")  # else three answers without an image would end a run
        return (*fixed, "--attempts", "1", "--concurrency", "2", "-q", "--on-change", policy, *whole, *part)

    def _retry_command(self, wish: Wish) -> tuple[str, ...]:
        calm = ("--set", f"prompt={{prompt}}{CALM}") if wish.calm else ()
        return ("retry", "out", "-q", *wish.options, *calm)

    # What must hold

    def _check_sent(
        self, start: int, must: Sends, lines: Sequence[Line], ledger: Known, wish: Wish | None = None
    ) -> None:
        sent = self.studio.sent(start)
        assert sent == must, self.told
        self._check_unnamed(sent, lines, ledger, wish)

    def _check_unnamed(self, sent: Sends, lines: Sequence[Line], ledger: Known, wish: Wish | None) -> None:
        """G3, G5: no image that was acknowledged or parked before is asked for again, unless by name."""
        named = wish.statuses if wish else USUAL
        prompts = {prompt.removesuffix(CALM) for prompt, _ in sent}
        for line in lines:
            version = ledger.versions.get(line.key)
            if line.prompt in prompts and version is not None:
                assert {image.status for image in ledger.images(line, version)} & named

    def _check_finished(self, lines: Sequence[Line], policy: str, attempts: int) -> list[dict[str, Any]]:
        """G0, G1: every row is told once an image, in order, as the ledger says, with its own picture."""
        ledger = known(self.out)
        assert ledger.attempts == attempts
        self._remember(ledger)
        table: list[dict[str, Any]] = pq.read_table(self.out / "results.parquet").to_pylist()
        told = standing(lines, ledger, policy)
        expected = [
            (self.lines.index(line), line.row_id, line.prompt, index, image.status, image.kind)
            for line in lines
            for index, image in enumerate(ledger.images(line, told[line]))
        ]
        names = ("row", "row_id", "prompt", "image_index", "status", "error_kind")
        assert [tuple(row[name] for name in names) for row in table] == expected
        self._check_shown_files()
        assert [each.problem for each in verify_folder(self.out).problems] == []
        return table

    def _check_recorded_files(self) -> None:
        """G1: every acknowledged image that was not pruned is there, whole."""
        for name, digest in recorded_files(self.out):
            assert hashlib.sha256((self.out / name).read_bytes()).hexdigest() == digest

    def _check_shown_files(self) -> None:
        if not (self.out / "results.parquet").exists():
            return
        for row in pq.read_table(self.out / "results.parquet").to_pylist():
            if row["status"] != SUCCEEDED:
                assert row["file_name"] is None
            elif row["file_name"] is None:
                assert "pruned" in row["flags"]
                assert row["row_id"] in {
                    row_id for row_id, _ in self.prunable
                }  # `keep` shows it with a newer prompt
            elif (row["row_id"], row["prompt"]) not in self.prunable:
                digest = hashlib.sha256((self.out / row["file_name"]).read_bytes()).hexdigest()
                assert (digest, self.studio.artists[digest]) == (row["sha256"], row["row_id"])

    def _remember(self, ledger: Known) -> None:
        now = ledger.succeeded()
        assert now >= self.acknowledged
        self.acknowledged = now

    # What the folder's job says

    def _job(self) -> dict[str, Any]:
        return tomllib.loads((self.out / "job.toml").read_text())

    def _policy(self) -> str:
        policy: str = self._job().get("run", {}).get("on_change", "stop")
        return policy

    def _view(self, part: tuple[str, ...] | None) -> list[Line]:
        """The rows that take part. part: options; None: as the folder's job says."""
        if part is None:
            chosen = self._job().get("input", {})
            part = next((each for each in PARTS if each and each[0].removeprefix("--") in chosen), ())
        if part[:1] == ("--limit",):
            return self.lines[: int(part[1])]
        if part[:1] == ("--sample",):
            rows = (Row(i, line.row_id, ImageRequest("", ()), b"") for i, line in enumerate(self.lines))
            drawn = sample(rows, int(part[1]), int(part[3]))
            return [line for i, line in enumerate(self.lines) if i in drawn]
        return list(self.lines)

    def _prompt(self, word: str, row_id: str) -> str:
        self.made += 1
        return f"{word} {row_id} v{self.made}" if word else ""

    def _append(self, word: str, n: int) -> None:
        row_id = f"r{self.made}"
        line = Line(row_id, self._prompt(word, row_id), n)
        self.older[row_id] = [line.prompt]
        self.lines.append(line)

    def _replace(self, old: Line, prompt: str) -> None:
        self.lines[self.lines.index(old)] = Line(old.row_id, prompt, old.n)
        self.older[old.row_id].append(prompt)
        self._write()

    def _write(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(("id", "prompt", "n"))
        writer.writerows((line.row_id, line.prompt, line.n) for line in self.lines)
        (self.folder / "manifest.csv").write_text(text.getvalue())


def hold(examples: int, steps: int, **others: Any) -> None:
    """Try so many sequences."""
    with ForkServer() as AnySequence.server:
        AnySequence.studio = Studio()
        with AnySequence.studio.open():
            run_state_machine_as_test(
                AnySequence,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    **others,
                ),
            )


def test_any_sequence_conserves_rows_and_buys_nothing_again_unnamed() -> None:
    hold(24, 10, derandomize=True, phases=(Phase.generate,))


@pytest.mark.campaign
def test_many_sequences() -> None:
    hold(300, 30)
