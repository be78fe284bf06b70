"""Looks again at the paid bodies in quarantine, by the rules of today: what is an image now is saved under its row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from jobs.cost import Prices, outcome_cost
from jobs.naming import image_folder, slug
from jobs.state import image_index
from runner.artifacts.artifact_reader import LocalReader
from runner.artifacts.check_process import inspect_patiently
from runner.artifacts.image_store import ImageStore, ToSave
from runner.http.image_body import ImageLifter
from runner.http.messages import Answer
from runner.ledger.completion_cache import MAP_NAME
from runner.ledger.ledger_file import KeptAnswer
from runner.planning.prepare import PreparedJob
from runner.process.crash_points import crash_point
from runner.process.disk_errors import explaining
from runner.process.redaction import REDACTOR
from runner.providers.conversation import Checkpoint, Fetch, Send, Step
from runner.providers.generations import ClientProfile, Proof, converse
from runner.providers.profile import client_profile
from runner.workspace.folder import Workspace
from schemas.artifacts import Label, NotAnImage, RequestedFormat
from schemas.failures import Failure, FailureKind
from schemas.outcome import MissingImage, SavedImage, Success
from schemas.received import Received

REREAD = "reread"
"""Flag of a row whose image was found in a body that had been given up."""


class Found(NamedTuple):
    """What a look at the quarantine brought. bodies: looked at. rows, images: found in them."""

    bodies: int = 0
    rows: int = 0
    images: int = 0


def reread(ready: PreparedJob, workspace: Workspace) -> Found:
    """Save the images that the quarantined bodies of rows without them hold; a body goes once all of it is saved.

    Each row's images and its outcome are durable before its body is removed, so a kill at any moment loses nothing, and
    the next call goes on. Raises OSError where this machine refuses.
    """
    ledger, reader = workspace.ledger, LocalReader(workspace.out)
    reader.remove(ledger.forgotten_bodies())
    profile = client_profile(ready.job, ready.endpoint.profile, time.monotonic, time.time)
    profile = replace(profile, proof=Proof(is_api=True))
    found, saved = Found(), dict[int, set[int]]()
    for kept in ledger.kept_answers():
        there = saved.setdefault(kept.item, set(kept.saved))
        wanted = [index for index in kept.indexes if index not in there]
        if not wanted:
            continue
        found = found._replace(bodies=found.bodies + 1)
        outcome = _outcome(kept, wanted, _received(kept, profile, reader), ready, workspace)
        if outcome is None:
            continue
        (workspace.out / MAP_NAME).unlink(missing_ok=True)  # it holds sums over what changes now
        _record(kept, outcome, ready.prices, workspace)
        there |= {image.index for image in outcome.images}
        found = found._replace(rows=found.rows + 1, images=found.images + len(outcome.images))
    return found


def _record(kept: KeptAnswer, outcome: Success, prices: Prices, workspace: Workspace) -> None:
    cost_usd, estimated = outcome_cost(outcome, kept.request, prices)
    crash_point("reread, before")
    workspace.ledger.record_reread(kept, outcome, cost_usd, estimated=estimated)
    crash_point("reread, after")
    if outcome.quarantined is None:
        LocalReader(workspace.out).remove((kept.body,))


def _received(kept: KeptAnswer, profile: ClientProfile, reader: LocalReader) -> Received | None:
    """The images of a kept body, as they would be taken from an answer today; None where there are none in hand."""
    try:
        with reader.open(kept.body) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    lifter = ImageLifter(len(data))
    lifter.feed(data)
    answer = Answer(200, {}, lifter.finish(), 0.0)
    conversation = converse(kept.request, profile)
    step: Step = next(conversation)
    try:
        while True:
            match step:
                case Send():
                    step = conversation.send(answer)
                case Checkpoint():
                    step = conversation.send(None)
                case Fetch():
                    step = conversation.send(Failure(FailureKind.DOWNLOAD, "not fetched"))
                case _:
                    return None  # a promise, which is polled by runs and not from here
    except StopIteration as end:
        return end.value if isinstance(end.value, Received) else None


def _outcome(
    kept: KeptAnswer, wanted: list[int], received: Received | None, ready: PreparedJob, workspace: Workspace
) -> Success | None:
    """What the row has now; None where nothing new is found. quarantined: the body, where it is still needed."""
    if received is None:
        return None
    images = {image.index: image for image in _saved(kept, wanted, received, ready, workspace)}
    if not images:
        return None
    missing = tuple(
        MissingImage(index, FailureKind.BAD_CONTENT, "no usable image in the answer")
        for index in wanted
        if index not in images
    )
    made = len(received.items) + received.more
    body = workspace.ledger.body(kept.body) if missing else None
    ordered = tuple(images[index] for index in sorted(images))
    return Success(ordered, missing, received.reported, flags=(REREAD,), made=made, quarantined=body)


def _saved(
    kept: KeptAnswer, wanted: list[int], received: Received, ready: PreparedJob, workspace: Workspace
) -> Iterator[SavedImage]:
    asked, check = RequestedFormat.of_request(kept.request), ready.job.output.image_check
    for position, item in enumerate(received.items):
        index = image_index(position, kept.asked)
        if item.data is None or index not in wanted:
            continue
        data = b"".join(item.data)
        try:
            info = inspect_patiently(data, asked_format=asked.output_format, check=check)
        except NotAnImage:
            continue
        label = Label(kept.attempt, index, slug(kept.row_id))
        with explaining(workspace.out / image_folder(kept.attempt)):
            image = ImageStore(workspace.folder, check).save(ToSave((data,), asked, label, info))
        yield replace(
            image, revised_prompt=REDACTOR.keys(item.revised_prompt) if item.revised_prompt else None
        )
