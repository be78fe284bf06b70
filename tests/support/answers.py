"""Whole answers without a server, and conversations played to their end on a clock that only waits move."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runner.http.image_body import ImageLifter
from runner.http.messages import Answer, BrokenExchange
from runner.providers.conversation import Checkpoint, Conversation, Fetch, Poll, Step, Wait
from runner.providers.polling import PollTiming
from schemas.outcome import Task
from schemas.received import Result


def whole(content: Any, status: int = 200, *, piece: int = 2**20, **headers: str) -> Answer:
    """A whole answer. content: bytes or text as they are, anything else as JSON. piece: bytes that arrive at a time."""
    data = content if isinstance(content, bytes) else None
    if data is None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode("utf-8", "surrogatepass")
    lifter = ImageLifter(2**24)
    for at in range(0, len(data), piece):
        lifter.feed(data[at : at + piece])
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, names, lifter.finish(), 0.1)


@dataclass
class Played:
    """A conversation played to its end on a clock that only waits move."""

    now: float = 0.0
    steps: list[Step] = field(default_factory=list)

    def timing(self, every_s: float = 4.0, total_s: float = 3600.0) -> PollTiming:
        """The timing of polls on this clock."""
        return PollTiming(every_s, total_s, lambda: self.now, lambda: 1_800_000_000.0)

    def play(self, conversation: Conversation, answers: Callable[[Step], Any]) -> Result:
        """What the conversation comes to."""
        try:
            step = next(conversation)
            while True:
                self.steps.append(step)
                if isinstance(step, Wait):
                    self.now += step.seconds
                step = conversation.send(answers(step))
        except StopIteration as end:
            result: Result = end.value
            return result

    def of(self, kind: type[Step]) -> list[Any]:
        """The steps of one kind."""
        return [step for step in self.steps if isinstance(step, kind)]

    @property
    def promised(self) -> list[Task]:
        """The tasks that were made durable."""
        return [step.task for step in self.of(Checkpoint) if isinstance(step.task, Task)]


def scripted(*polls: Answer | BrokenExchange) -> Callable[[Step], Any]:
    """Answers to polls in order, the last one for ever; any file is `image`."""
    left = list(polls)

    def answer(step: Step) -> Any:
        match step:
            case Poll():
                return left.pop(0) if len(left) > 1 else left[0]
            case Fetch():
                return (b"image",)
        return None

    return answer
