"""What mends rows that are not fine, by the kind of their failure: a command that can be run as it is, and advice."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import NamedTuple

from schemas.failures import RULES, Billed, FailureKind, RowStatus

Failing = tuple[str, str | None]
"""A row's status and the kind of its failure; None where that is not known."""


class _Mend(NamedTuple):
    """command: a template over `{out}`, `{job}` and `{kind}`. look: rows and messages must be looked at before it is run."""

    command: str
    advice: str
    look: bool = False


class Mending(NamedTuple):
    """What mends a group of rows. command: for a shell, as it is. advice: what it does, and what else can be done."""

    command: str
    advice: str


_RUN, _RETRY = "imagemill run {job}", "imagemill retry {out} --error {kind}"
_PARKED = "imagemill retry {out} --parked --error {kind}"
_LOOK = "imagemill failures {out}"
_K, _S = FailureKind, RowStatus

_ACCOUNT = "once key or account are mended (imagemill doctor {job} checks them); nothing was paid for"
_BY_KIND: dict[tuple[RowStatus, FailureKind], _Mend] = {
    (_S.FAILED, _K.MODERATION): _Mend(
        "imagemill retry {out} --error moderation --set prompt='{{prompt}}, family friendly'",
        "the same prompt would be refused again: edit it in the manifest and run that, or change all of them as here",
        look=True,
    ),
    (_S.FAILED, _K.INVALID_REQUEST): _Mend(
        "imagemill retry {out} --error invalid_request --dry-run",
        "the same request would be refused again: change what the message names, in the manifest or by --set FIELD=VALUE",
        look=True,
    ),
    (_S.FAILED, _K.NOT_FOUND): _Mend(
        "imagemill doctor {job}",
        "mend the model or the base URL, then: imagemill retry {out} --error not_found",
    ),
    (_S.FAILED, _K.AUTH): _Mend(_RETRY, _ACCOUNT),
    (_S.FAILED, _K.FORBIDDEN): _Mend(_RETRY, _ACCOUNT),
    (_S.FAILED, _K.QUOTA): _Mend(_RETRY, _ACCOUNT),
    (_S.FAILED, _K.BAD_CONTENT): _Mend(
        "imagemill retry {out} --reread",
        "free: looks again at the paid answers in quarantine; what is left after that is made and paid for again by "
        "imagemill retry {out} --error bad_content",
    ),
    (_S.FAILED, _K.DOWNLOAD): _Mend(
        _RETRY, "paid for, and lost: its URL is dead; this makes and pays for it again", look=True
    ),
    (_S.PARKED, _K.TASK_TIMEOUT): _Mend(_RUN, "free: the task may have ended since, and run asks for it"),
    (_S.PENDING, _K.DOWNLOAD): _Mend(_RUN, "free: the image is paid for, and is fetched from its URL"),
    (_S.PENDING, _K.DOWNLOAD_REFUSED): _Mend(
        _RUN,
        "free, once its host is allowed: set endpoint.download_hosts to the host that the message names",
    ),
    (_S.PENDING, _K.LOCAL): _Mend(_RUN, "once this machine has what the message names"),
    (_S.PENDING, _K.AUTH): _Mend(_RUN, _ACCOUNT),
    (_S.PENDING, _K.FORBIDDEN): _Mend(_RUN, _ACCOUNT),
    (_S.PENDING, _K.QUOTA): _Mend(_RUN, _ACCOUNT),
    (_S.PENDING, _K.NOT_FOUND): _Mend("imagemill doctor {job}", "mend the base URL or the model, then run"),
    (_S.PENDING, _K.NOT_AN_API): _Mend("imagemill doctor {job}", "mend the base URL, then run"),
}
_BY_STATUS = {
    _S.INVALID: _Mend(
        "imagemill plan {job}",
        "correct these rows in the manifest; plan shows whether they are right now, run sends them",
    ),
    _S.PENDING: _Mend(_RUN, "sent by the next run"),
    _S.PARKED: _Mend(_PARKED, "each may have been made and paid for: sending it again may pay twice"),
}


def _mend(status: str, kind: str | None) -> _Mend:
    resting = RowStatus(status)
    if kind is None:
        return _BY_STATUS.get(resting, _Mend(_LOOK, ""))
    failure = FailureKind(kind)
    found = _BY_KIND.get((resting, failure)) or _BY_STATUS.get(resting)
    if found is not None:
        return found
    if RULES[failure].billed is Billed.NO:
        return _Mend(_RETRY, "nothing was paid for")
    return _Mend(_RETRY, "may have been paid for: sending it again may pay twice", look=True)


def mending(status: str, kind: str, out: str) -> Mending:
    """What mends the rows of this folder that are in this state by this kind of failure."""
    found = _mend(status, kind)
    return Mending(_filled(found.command, out, kind), _filled(found.advice, out, kind))


def next_step(failing: Iterable[Failing], out: str) -> str:
    """The command to type when these are what is not fine: what mends all of them, or what lists them with their commands.

    What is parked alone is named as that, whatever parked it.
    """
    groups = set(failing)
    retried = {mend.command for mend in (_mend(*group) for group in groups)} == {_PARKED}
    if retried:
        return _filled("imagemill retry {out} --parked", out)
    commands = {_step(status, kind, out) for status, kind in groups}
    return commands.pop() if len(commands) == 1 else _filled(_LOOK, out)


def _step(status: str, kind: str | None, out: str) -> str:
    found = _mend(status, kind)
    if found.look and kind is not None:
        return _filled(_LOOK + " --error {kind}", out, kind)
    return _filled(found.command, out, kind)


def _filled(template: str, out: str, kind: str | None = None) -> str:
    return template.format(out=shlex.quote(out), job=shlex.quote(out + "/job.toml"), kind=kind)
