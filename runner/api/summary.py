"""`RunSummary`: what the Python calls return of a run, and of where a folder stands."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.api.tables import FailureTable, first_images, results
from runner.cli.console import fact_lines, hidden
from runner.cli.lines.summary import summary_facts
from runner.process.redaction import REDACTOR
from runner.text.wording import count_text
from schemas.errors import ExitCode, JobError
from schemas.failures import RowStatus
from schemas.summary import RunFigures, Summary

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd

_SHOWN_IMAGES = 8


@dataclass(frozen=True, kw_only=True, repr=False)
class RunSummary(RunFigures):
    """What a run did, and its folder as it stood then: what `run`, `retry` and `status` return.

    path: the folder, absolute. Of the other fields see `schemas.summary.RunFigures`. `failures` and `results()` are read
    from the folder when they are asked for.
    """

    path: Path
    _summary: Summary = field(compare=False)
    _facts: tuple[tuple[str, str], ...] = field(compare=False)

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """The value for what the use cases return."""
        figures = {each.name: getattr(summary, each.name) for each in fields(RunFigures)}
        path = Path(summary.out).absolute()
        return cls(**figures, path=path, _summary=summary, _facts=tuple(summary_facts(summary)))

    @property
    def ok(self) -> bool:
        """Whether the run ended with exit code 0 and every image is there, whichever run made it."""
        return self.exit_code == ExitCode.OK and set(self.by_status) <= {RowStatus.SUCCEEDED.value}

    def raise_for_status(self) -> Self:
        """The summary itself. Raises JobError, with the exit code, where not every row succeeded."""
        if self.ok:
            return self
        code = ExitCode(self.exit_code or ExitCode.SOME_FAILED)
        reason = self.exit_reason or "the run is going on"
        raise JobError(reason, fix=self.next or f"look at runner.failures({self.out!r})", exit_code=code)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """The results rows that are not fine, as `runner.failures(path).table` has them."""
        return FailureTable.read(self.path).frame()

    def results(self) -> pd.DataFrame:
        """The results table, as `runner.results(path)` has it."""
        return results(self.path)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `run --json`, `retry --json` or `status --json`."""
        document: dict[str, Any] = hidden(self._summary.to_dict())
        return document

    def __str__(self) -> str:
        return "\n".join(fact_lines(self._facts))

    def __repr__(self) -> str:
        return f"<RunSummary {REDACTOR.text(self._headline())}>"

    def _headline(self) -> str:
        done = self.by_status.get(RowStatus.SUCCEEDED, 0)
        rest = [
            f"{count:,} {name}"
            for name, count in self.by_status.items()
            if name != RowStatus.SUCCEEDED and count
        ]
        if self.by_error:
            kinds = sorted(self.by_error.items(), key=lambda item: (-item[1], item[0]))
            rest.append(f"errors: {', '.join(f'{name} {count:,}' for name, count in kinds)}")
        ended = self.state.value if self.exit_code is None else f"exit code {self.exit_code}"
        told = "; ".join([f"{done:,} of {count_text(self.images, 'image')} succeeded", *rest, ended])
        return f"{self.out}: {told}"

    def _repr_html_(self) -> str:
        from runner.api.html import facts_html, thumbnails_html

        return facts_html(
            f"imagemill {self.command}: {self.out}",
            self._facts,
            thumbnails_html(first_images(self.path, _SHOWN_IMAGES)),
        )
