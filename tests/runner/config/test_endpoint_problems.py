"""A header or a path that would change what a request is, or break it, is a mistake of the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.config.endpoint_problems import header_fault, path_fault
from runner.config.loader import load_job
from schemas.errors import JobError
from schemas.task_dialects import DIALECTS


@pytest.mark.parametrize(
    "name", ["Authorization", "X-API-Key", "api-key", "Ocp-Apim-Subscription-Key", "x_key"]
)
def test_headers_that_take_a_key(name: str) -> None:
    assert header_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            "X-Evil: 1",
            "X-Evil:",
            "X Evil",
            "X-Evil\r\nHost",
            "schlüssel",
            "X-Evil\0",
            "(key)",
            '"key"',
        ),
        *(
            "Host",
            "host",
            "Content-Length",
            "CONTENT-LENGTH",
            "Content-Type",
            "Transfer-Encoding",
            "Connection",
        ),
        *("TE", "Trailer", "Upgrade", "Expect", "Accept", "Accept-Encoding", "User-Agent", "Idempotency-Key"),
        *("Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "Sec-WebSocket-Key"),
    ],
)
def test_headers_that_do_not(name: str) -> None:
    assert header_fault(name) is not None


@pytest.mark.parametrize(
    "path", ["images/generations", "v2/x-y_z.json", "a/%C3%A4", "deployments/m:generate", "a/b/"]
)
def test_paths(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "images generations",
        "bilder/für",
        "a\tb",
        "a\r\nX: 1",
        "a#b",
        "a?b=c",
        "/a",
        "//host/a",
        "../a",
        "a/../b",
        "a%2",
        "a\\b",
        'a"b',
        "{id}",
    ],
)
def test_paths_that_are_none(path: str) -> None:
    assert path_fault(path) is not None


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("/tasks/x", True),
        ("get_result?id=x", True),
        ("//host/x", False),
        ("tasks/x y", False),
        ("t?id=ä", False),
    ],
)
def test_paths_of_polls_may_have_a_query_and_be_below_the_host(path: str, good: bool) -> None:
    assert (path_fault(path, may_have_query=True, from_root=True) is None) is good


def test_the_paths_of_the_relays_that_we_know_are_good() -> None:
    for dialect in DIALECTS.values():
        assert path_fault(dialect.submit_path) is None
        for path in dialect.poll_paths:
            assert path_fault(path.replace("{id}", "x"), may_have_query=True, from_root=True) is None


def test_they_are_told_with_the_other_mistakes_and_without_the_value(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(
        'manifest = "p.csv"\n[endpoint]\nkey_header = "X-Evil: abc"\n'
        '[endpoint.task]\nsubmit_path = "a b"\npoll_path = "tasks"\n'
    )
    with pytest.raises(JobError) as error:
        load_job("job.toml", {}, environ={}, cwd=tmp_path)
    message = error.value.message
    assert message.startswith("3 mistakes in the job")
    assert "endpoint.key_header" in message and "abc" not in message
    assert "endpoint.task.submit_path" in message
    assert "endpoint.task.poll_path: must hold {id}" in message
