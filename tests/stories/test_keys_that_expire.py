"""Keys that expire within a run: a command or a file gives the next one, read once for all senders."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from tests.support.playedjob import PlayedJob, pictures, played
from tests.support.runs import SeenRequest, error

ROWS = 40
LASTS = 15
"""Images for which a key is good."""


class KeyDesk:
    """Gives out keys, the present one in `key.txt`; each is good for so many images."""

    def __init__(self, job: PlayedJob) -> None:
        self._path = job.folder / "key.txt"
        self._good = 0
        self.number = 0
        self.refused = 0
        self._issue()
        job.service.answer = self.answer
        job.write("prompt\n" + "".join(f"a boat {row}\n" for row in range(ROWS)))
        job.write(f'echo read >> reads.txt; cat "{self._path}"\n', "key.sh")

    def _issue(self) -> None:
        self.number += 1
        self._good = LASTS
        self._path.write_text(f"key-number-{self.number:04}\n")
        self._path.chmod(0o600)

    async def answer(self, asked: SeenRequest) -> web.StreamResponse:
        """A picture for the present key, 401 for every other."""
        if asked.headers["Authorization"] != f"Bearer key-number-{self.number:04}":
            self.refused += 1
            return error(401, "invalid_api_key", "expired")
        self._good -= 1
        if not self._good:
            self._issue()
        return await pictures(asked)


def reads(folder: Path) -> int:
    """How often the command ran."""
    return len((folder / "reads.txt").read_text().splitlines())


@played
async def test_a_command_is_asked_again_once_for_all_who_were_refused(job: PlayedJob) -> None:
    desk = KeyDesk(job)
    summary = await job.run("p.csv", set={"endpoint.api_key_command": "sh key.sh"})
    assert (summary.exit_code, summary.images_saved) == (0, ROWS)
    assert desk.number == 1 + ROWS // LASTS
    assert desk.refused > 2 * desk.number  # several were in flight each time
    assert desk.number <= reads(job.folder) <= desk.number + 1  # one answer may be settled late
    assert desk.refused >= desk.number - 1
    assert len(job.service.asked) == ROWS + desk.refused


@played
async def test_a_file_is_read_again(job: PlayedJob) -> None:
    desk = KeyDesk(job)
    summary = await job.run("p.csv", set={"endpoint.api_key_file": "key.txt"})
    assert (summary.exit_code, summary.images_saved, desk.number) == (0, ROWS, 1 + ROWS // LASTS)


@played
async def test_a_key_that_is_refused_for_good_ends_the_run_and_rows_stay_pending(job: PlayedJob) -> None:
    desk = KeyDesk(job)
    desk.number = 99  # of which nobody knows
    summary = await job.run("p.csv", set={"endpoint.api_key_command": "sh key.sh"})
    assert (summary.exit_code, summary.images_saved) == (4, 0)
    assert {*job.rows("status")} == {"pending"}
    assert reads(job.folder) <= len(job.service.asked) + 1
