"""Where the key may stand."""

from __future__ import annotations

import pytest

from tests.support.canary import CANARY
from tests.support.simulator import Simulator


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({"Authorization": "Bearer invalid"}, "invalid_api_key"),
        ({"Authorization": "Basic eDp5"}, None),
    ],
)
def test_a_key_is_needed(dieyuyun: Simulator, headers: dict[str, str], code: str | None) -> None:
    for reply in (dieyuyun.send(b"{}", **headers), dieyuyun.ask("GET", "/v1/models", **headers)):
        assert (reply.status, reply.error["type"], reply.error["code"]) == (
            401,
            "invalid_request_error",
            code,
        )


def test_the_key_may_come_as_x_api_key(dieyuyun: Simulator) -> None:
    assert dieyuyun.send(b"{}", **{"x-api-key": CANARY}).error["param"] == "prompt"
    assert dieyuyun.send(b"{}", **{"x-api-key": "invalid"}).status == 401
