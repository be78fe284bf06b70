"""When a run pays for nothing, or is refused as a whole: the evidence of single answers, held against the others'.

One answer tells little: a relay has a bad key among ten, a prompt is refused with a 403 of its own, a gateway drops a
connection. What counts is how many such answers come in a row, over all rows, without an image in between. While too many
have, nothing new is sent (`Brake.suspicion`); the answers that are still in flight may lift the suspicion, and when none
is left the run ends for that reason.

Before the first image of a run little evidence is enough, because nothing yet says that the service works at all.
"""

from __future__ import annotations

from collections import Counter

from jobs.refusals import Addressee
from schemas.errors import ExitCode, Reason
from schemas.failures import Failure, FailureKind

ACCOUNT_KINDS = frozenset({FailureKind.AUTH, FailureKind.FORBIDDEN, FailureKind.QUOTA})
"""What concerns the key or the account, unless other rows of the same run do not get it."""
WRONG_PLACE_KINDS = frozenset({FailureKind.NOT_FOUND, FailureKind.NOT_AN_API})
"""What a wrong URL or model brings."""
UNTRIED = 3
"""Answers in a row that are enough before the first image of a run."""
TRIED = 5
"""Refusals of the account in a row that are enough afterwards."""
_WAITED_FOR = frozenset(
    {
        *(FailureKind.CONNECT, FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.SERVER_ERROR),
        *(FailureKind.LOCAL, FailureKind.STOPPED, FailureKind.INTERRUPTED),
    }
)
"""`retry.give_up` and `run.first_contact` bound these; or nobody but the user is to blame."""
_OWN_FAULT = frozenset({FailureKind.MODERATION, FailureKind.INVALID_REQUEST, FailureKind.INVALID_ROW})
"""Of a row itself: a service that works answers so too."""


class _InARow:
    """Answers of one sort in a row."""

    def __init__(self) -> None:
        self._kinds = Counter[FailureKind]()
        self._last: Failure | None = None

    def add(self, failure: Failure) -> None:
        """One more."""
        self._kinds[failure.kind] += 1
        self._last = failure

    @property
    def has_other_than_errors(self) -> bool:
        """Whether not all are errors of the server's, which alone are an outage, and waited for."""
        return bool(self._kinds.keys() - {FailureKind.SERVER_ERROR})

    def end(self) -> None:
        """The row has ended."""
        self._kinds.clear()

    def __len__(self) -> int:
        return self._kinds.total()

    def last(self, addressee: Addressee) -> str:
        """What the last said."""
        return addressee.told(self._last) if self._last else ""

    def wasted(self, what: str, limit: str) -> str:
        """All of them in one sentence. what: they did. limit: how many are too many."""
        message = self._last.message if self._last else ""
        kinds = ", ".join(f"{kind.value} {count}" for kind, count in self._kinds.most_common())
        return f"the last {len(self)} answers {what} ({kinds}; the last: {message}); {limit}"


class Brake:
    """What the answers of one run say of the whole run.

    Args:
        max_unusable: answers in a row that were, or may have been, paid for and brought no image, after which the run
            ends; before the first image `UNTRIED` are enough, and so many useless answers of any kind. None: never.
        addressee: whom the run asks, for what is said of refusals.
    """

    def __init__(self, max_unusable: int | None, addressee: Addressee | None = None) -> None:
        self._max_unusable = max_unusable
        self._addressee = addressee or Addressee()
        self._barred: Failure | None = None
        self._works = False
        self._refused, self._misplaced, self._unusable, self._useless = (_InARow() for _ in range(4))

    @property
    def works(self) -> bool:
        """Whether the run has got an image."""
        return self._works

    @property
    def refusals(self) -> int:
        """Refusals of the account in a row, without an image in between."""
        return len(self._refused)

    def succeeded(self) -> None:
        """An answer brought an image."""
        self._works = True
        for answers in (self._refused, self._misplaced, self._unusable, self._useless):
            answers.end()

    def failed(self, failure: Failure) -> None:
        """An answer brought none, or none came."""
        kind = failure.kind
        if failure.lasting and not self._works:
            self._barred = failure
        if kind is FailureKind.SERVER_ERROR:
            self._useless.add(failure)
        if kind in _WAITED_FOR:
            return
        self._useless.add(failure)
        if kind in ACCOUNT_KINDS:
            self._refused.add(failure)
        elif kind in WRONG_PLACE_KINDS:
            self._misplaced.add(failure)
        elif kind not in _OWN_FAULT and failure.maybe_billed:
            self._unusable.add(failure)
        if kind not in WRONG_PLACE_KINDS:
            self._misplaced.end()

    @property
    def suspicion(self) -> Reason | None:
        """Why nothing more should be sent, and why the run ends if no answer in flight brings an image; None: go on."""
        if self._barred is not None and not self._works:
            return Reason(ExitCode.ACCOUNT, self._addressee.told(self._barred))
        if len(self._refused) >= (TRIED if self._works else UNTRIED):
            return Reason(ExitCode.ACCOUNT, self._refused.last(self._addressee))
        if len(self._misplaced) >= UNTRIED:
            return Reason(ExitCode.ACCOUNT, self._misplaced.last(self._addressee))
        if self._max_unusable is None:
            return None
        most = self._max_unusable if self._works else min(UNTRIED, self._max_unusable)
        start = "" if self._works else f" ({min(UNTRIED, self._max_unusable)} before the first image)"
        limit = f"run.max_unusable = {self._max_unusable}{start}; 0 switches it off"
        if len(self._unusable) >= most:
            what = "were, or may have been, paid for and brought no image"
            return Reason(ExitCode.SERVICE_DOWN, self._unusable.wasted(what, limit))
        if (
            not self._works
            and len(self._useless) >= self._max_unusable
            and self._useless.has_other_than_errors
        ):
            return Reason(ExitCode.SERVICE_DOWN, self._useless.wasted("brought no image", limit))
        return None
