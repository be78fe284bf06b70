"""Draws answers from a seed: recorded ones, in which something is another, and headers of every kind."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attacks.faults.pictures import picture
from tests.support.answers import whole
from tests.support.canary import CANARY

_ROOT = Path(__file__).parents[3]
_RECORDED = (_ROOT / "tests" / "data" / "answers", _ROOT / "runner" / "simulator" / "recorded")
_PNG = base64.b64encode(picture("a fox")).decode()
_ODD: dict[str, list[Any]] = json.loads(Path(__file__).with_name("odd.json").read_text("utf-8"))
_VALUES = (
    *_ODD["values"],
    *(
        float("nan"),
        float("inf"),
        10**30,
        10**400,
        "\ud800",
        _PNG,
        "data:image/png;base64," + _PNG,
        "bad" + "A" * 200,
    ),
    *("lifted:" + "9" * 5000, "<script" * 300, "try again in " + "9" * 400 + "s", "a://" * 500),
)
_HEADER_VALUES = (*_ODD["header_values"], "9" * 4000, "a" * 8000, "a://" * 2000, "\udcff", f"Bearer {CANARY}")


def recorded() -> list[Any]:
    """Every recorded document and body."""
    found: list[Any] = []
    for path in (path for folder in _RECORDED for path in sorted(folder.rglob("*.json"))):
        document = json.loads(path.read_text("utf-8"))
        answers = document.get("answers") if isinstance(document, dict) else None
        found += [each.get("body", each.get("document")) for each in answers] if answers else [document]
    return [filled(each) for each in found]


def filled(value: Any) -> Any:
    """A recording with something in the place of each `$name`."""
    if isinstance(value, dict):
        return {name: filled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each) for each in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    for name, text in (
        ("$b64_json", _PNG),
        ("$partial", _PNG),
        ("$url", "https://files/1.png"),
        ("$id", "task-1"),
    ):
        value = value.replace(name, text)
    return value


@dataclass
class Mutator:
    """Draws answers from a seed."""

    chance: random.Random
    recordings: list[Any] = field(default_factory=recorded)

    def value(self, depth: int) -> Any:
        """Any JSON."""
        draw = self.chance.random()
        if depth <= 0 or draw < 0.5:
            return self.chance.choice(_VALUES)
        if draw < 0.75:
            return {
                self.chance.choice(_ODD["names"]): self.value(depth - 1)
                for _ in range(self.chance.randint(0, 5))
            }
        return [self.value(depth - 1) for _ in range(self.chance.randint(0, 4))]

    def changed(self, value: Any) -> Any:
        """A document in which something is another."""
        if not isinstance(value, dict | list) or not value or self.chance.random() < 0.15:
            return self.value(2)
        copy = dict(value) if isinstance(value, dict) else list(value)
        key = self.chance.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
        draw = self.chance.random()
        if draw < 0.7:
            copy[key] = self.changed(copy[key])
        elif draw < 0.8:
            del copy[key]
        elif isinstance(copy, dict):
            copy[self.chance.choice(_ODD["names"])] = copy.pop(key)
        else:
            copy.append(copy[key])
        return copy

    def body(self) -> bytes:
        """The bytes of an answer."""
        start = self.chance.choice(self.recordings) if self.chance.random() < 0.7 else self.value(4)
        for _ in range(self.chance.choice((0, 1, 1, 2, 4))):
            start = start if isinstance(start, str) else self.changed(start)
        text = start if isinstance(start, str) else json.dumps(start, ensure_ascii=self.chance.random() < 0.5)
        if self.chance.random() < 0.15:
            text = text.replace("task-1", "\\ud800x")  # half a character in an id
        return self._wrapped(text.encode("utf-8", "surrogatepass"))

    def _wrapped(self, data: bytes) -> bytes:
        """The bytes as a relay may send them, or with some of them changed."""
        match self.chance.randrange(12):
            case 0:
                return b"data: " + data + b"\n\ndata: [DONE]\n\n"
            case 1:
                return b"\n \n" + data
            case 2:
                return data[: self.chance.randrange(len(data) + 1)]
            case 3:
                return b"--b\r\ncontent-type: image/png\r\n\r\n" + data + b"\r\n--b--"
            case 4:
                at = self.chance.randrange(len(data) + 1)
                return (
                    data[:at]
                    + self.chance.randbytes(self.chance.randint(0, 3))
                    + data[at + self.chance.randint(0, 2) :]
                )
            case 5:
                return data.replace(b'"b64_json"', b'"b64\\u005fjson"')
            case 6:
                return data + b"\n" + data
        return data

    def headers(self) -> dict[str, str]:
        """Headers of an answer."""
        return {
            self.chance.choice(_ODD["headers"]): self.chance.choice(_HEADER_VALUES)
            for _ in range(self.chance.randint(0, 4))
        }

    def answer(self) -> Any:
        """A whole answer, or an exchange that broke."""
        body = self.body()
        return whole(
            body,
            self.chance.choice(_ODD["statuses"]),
            piece=self.chance.choice((1 + len(body) // 3, 2**20)),
            **self.headers(),
        )
