"""What a fault must come to: the required ends of its row, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

MANY = 10**9

Range = tuple[int, int]
ONE: Range = (1, 1)
NONE: Range = (0, 0)


@dataclass(frozen=True, slots=True)
class End:
    """One allowed end of a results row.

    requests: POSTs that the server saw for the prompt. billed: `maybe_billed`. Both inclusive ranges.
    quarantine: whether the paid body must lie in quarantine/ verbatim; None: either way is right.
    flags: that the row must carry. own_picture: the file kept is, byte for byte, the picture made for this prompt.
    """

    status: str
    kind: str | None = None
    requests: Range = ONE
    billed: Range = NONE
    quarantine: bool | None = False
    flags: frozenset[str] = frozenset()
    own_picture: bool = True


@dataclass(frozen=True, slots=True)
class Alone:
    """A small run of its own, for faults that stop a run or concern more than one row.

    exit_codes: allowed. options: added to `imagemill run`. before, after: plain rows around the `copies` faulty ones.
    others: allowed ends of the plain rows. total_requests: POSTs of the whole run.
    accept: what the first connections to the server meet. down: nothing listens at the base URL.
    unseen: connections die before the server reads a request, which counts as an attempt all the same.
    silence_s: seconds after the first refusal in which no request may arrive (grace_s, from there, is for those on
    their way).
    """

    exit_codes: frozenset[int]
    options: tuple[str, ...] = ()
    before: int = 3
    copies: int = 1
    after: int = 5
    others: tuple[End, ...] = ()
    total_requests: Range = (0, MANY)
    accept: str = ""
    down: bool = False
    unseen: bool = False
    silence_s: float = 0.0
    grace_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    does: what the server does. marker: what the prompt says to it. ends: allowed ends of the row (of each of its
    images; `by_index` says so for each image apart). why: the line of GUARANTEES.md or CONTRACT.md behind it.
    fields: request fields of the row. pad: characters added to the prompt.
    wait_s: seconds that must lie between the first two requests. gets: fetches of the image the server must have seen.
    max_sent_bytes: most that the server may have been able to hand over before the client hung up; None: no matter.
    saved: image files that must be kept for the row, all indexes together; None: one for each success.
    """

    name: str
    does: str
    marker: str
    ends: tuple[End, ...]
    why: str
    group: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    by_index: tuple[tuple[End, ...], ...] = ()
    pad: int = 0
    wait_s: float = 0.0
    gets: Range = (0, MANY)
    max_sent_bytes: int | None = None
    saved: int | None = None
    alone: Alone | None = None

    @property
    def prompt(self) -> str:
        """The prompt of the (first) faulty row."""
        return self.prompt_of(0)

    def prompt_of(self, copy: int) -> str:
        """The prompt of one copy."""
        return f"{self.name}: a red fox, take {copy} {self.marker}" + " of snow" * (self.pad // 8)

    def ends_of(self, index: int) -> tuple[End, ...]:
        """The allowed ends of one image of the row."""
        return self.by_index[index] if self.by_index else self.ends


def grouped(group: str, faults: Iterable[Fault], **fields: str) -> tuple[Fault, ...]:
    """The faults under a group's name; `fields` are request fields of those that name none of their own."""
    return tuple(replace(each, group=group, fields=each.fields or fields) for each in faults)


SUCCESS = End("succeeded")
ODD_PICTURE = End("succeeded", own_picture=False)
INVALID = End("failed", "invalid_request")
NOT_FOUND = End("failed", "not_found", requests=(1, 3))
MODERATED = End("failed", "moderation", billed=ONE, quarantine=None)
SERVER_ERROR = End("failed", "server_error", requests=(3, 3))
GATEWAY = End("parked", "gateway", billed=ONE, quarantine=None)
KEPT_GATEWAY = replace(GATEWAY, quarantine=True)
DISCONNECTED = End("parked", "disconnected", billed=ONE, quarantine=None)
TIMEOUT = End("parked", "timeout", billed=ONE, quarantine=None)
TRUNCATED = End("parked", "truncated", billed=ONE, quarantine=None)
"""What came is in quarantine, if anything did."""
BAD_CONTENT = End("failed", "bad_content", billed=ONE, quarantine=True)
BAD_CONTENT_LOST = replace(BAD_CONTENT, quarantine=None)
LOST = End("pending", "download", billed=ONE, quarantine=None)
"""Nothing is lost: its URL is in the ledger, and the next run fetches the image."""
GUARDED = End("pending", "download_refused", billed=ONE, quarantine=None)
UNSENT = End("pending", "stopped", requests=NONE)


def after(requests: int, end: End = SUCCESS) -> End:
    """`end`, reached with so many requests."""
    return replace(end, requests=(requests, requests))


def flagged(*flags: str, own_picture: bool = True) -> End:
    """A success with flags."""
    return replace(SUCCESS, flags=frozenset(flags), own_picture=own_picture)


def halted(kind: str) -> End:
    """The refused row of a run that stopped."""
    return End("pending", kind, requests=(1, 5), billed=NONE)


def unsent(kind: str) -> tuple[End, ...]:
    """A row whose turn did not come because of `kind`."""
    return (UNSENT, End("pending", kind, requests=(0, 5)))
