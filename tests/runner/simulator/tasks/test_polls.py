"""What is particular to a relay, and polls that meet faults, over real HTTP."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.support.canary import CANARY
from tests.support.simulator import Simulator, Start

GENERATIONS = "/v1/images/generations"


KEY = {"Authorization": f"Bearer {CANARY}"}


ASYNC: dict[str, Any] = {"async": True}


def submit(
    simulator: Simulator, path: str = GENERATIONS, headers: dict[str, str] = KEY, **fields: Any
) -> Any:
    body = json.dumps({"model": "m", "prompt": "p", "size": "64x64", **fields}).encode()
    return simulator.ask("POST", path, body, **headers, **{"Content-Type": "application/json"})


def test_requests_ask_for_tasks_in_their_relays_way(simulate: Start) -> None:
    simulator = simulate("--latency", "0", "--dialect", "dimilinks")
    ways: list[dict[str, Any]] = [
        {"path": f"{GENERATIONS}?async=true"},
        {"wait_for_result": False},
        {"headers": KEY | {"Prefer": "respond-async"}},
    ]
    for way in ways:
        assert "task_id" in submit(simulator, **way).json()
    url = submit(simulator, wait_for_result=True).json()["data"][0]["url"]
    assert url.startswith("/p/img/")
    assert simulator.ask("GET", url).status == 200
    assert simulator.ask("GET", url.partition("&")[0]).status == 403
    assert simulator.stats()["tasks"]["submitted"] == 3


def test_without_the_switch_the_answer_comes_at_once(simulate: Start) -> None:
    simulator = simulate("--latency", "0", "--dialect", "dieyuyun")
    plain: list[dict[str, Any]] = [{}, {"async": False}]
    for fields in plain:
        assert len(submit(simulator, **fields).json()["data"]) == 1
    wrong: dict[str, Any] = {"async": "yes"}
    assert submit(simulator, **wrong).status == 400


def test_where_a_relay_says_to_poll(simulate: Start) -> None:
    sub2api = simulate("--latency", "0", "--dialect", "sub2api")
    reply = submit(sub2api, path=f"{GENERATIONS}/async")
    assert (reply.headers["location"], reply.headers["retry-after"]) == (reply.json()["poll_url"], "3")
    assert sub2api.ask("GET", reply.headers["location"], **KEY).json()["status"] == "completed"
    lemondata = simulate("--latency", "0", "--dialect", "lemondata")
    url = submit(lemondata).json()["poll_url"]
    assert url.startswith(f"http://127.0.0.1:{lemondata.port}/v1/images/generations/")
    assert lemondata.ask("GET", url, **KEY).json()["status"] == "completed"
    assert lemondata.ask("GET", f"{url}x", **KEY).error["code"] == "async_task_not_found"


def test_apimart_gives_texts_and_lists_of_texts(simulate: Start) -> None:
    simulator = simulate("--latency", "0", "--dialect", "apimart")
    ids = [submit(simulator, n=2).json()["data"][0]["task_id"] for _ in range(2)]
    documents = [simulator.ask("GET", f"/v1/tasks/{id}", **KEY).json() for id in ids]
    single, grouped = ([image["url"] for image in one["data"]["result"]["images"]] for one in documents)
    assert [type(url) for url in single] == [str, str]
    assert [[type(url) for url in urls] for urls in grouped] == [[str, str]]
    assert submit(simulator, n=99).json()["error"]["code"] == 400


def scenario(*faults: str) -> str:
    tables = [f"[[fault]]\nmatch = '.'\n{fault}\n" for fault in faults]
    return "dialect = 'dieyuyun'\nlatency = { median = 0 }\n" + "".join(tables)


def begun(simulator: Simulator) -> str:
    return f"/v1/tasks/{submit(simulator, **ASYNC).json()['id']}"


def test_polls_that_fail_leave_the_task_alone(simulate: Start) -> None:
    simulator = simulate(scenario=scenario("kind = 'poll_errors'\nretry_after = 2"))
    path = begun(simulator)
    replies = [simulator.ask("GET", path, **KEY) for _ in range(4)]
    assert [reply.status for reply in replies] == [429, 500, 502, 200]
    assert replies[0].headers["retry-after"] == "2"
    assert replies[2].body.startswith(b"<html>")
    assert simulator.stats()["poll_statuses"] == {"429": 1, "500": 1, "502": 1, "200": 1}
    again = simulate(scenario=scenario("kind = 'poll_errors'\npolls = 2\nstatus = 503"))
    path = begun(again)
    assert [again.ask("GET", path, **KEY).status for _ in range(3)] == [503, 503, 200]


def test_an_outage_meets_polls_too(simulate: Start) -> None:
    outage = "outage = [{ after = 0, seconds = 0.5, kind = 'overloaded' }]\n"
    simulator = simulate(scenario=outage + "dialect = 'evolink'")
    assert submit(simulator).status == 503
    assert simulator.ask("GET", "/v1/tasks/any", **KEY).status == 503


def test_prompts_that_come_again_are_counted(simulate: Start) -> None:
    simulator = simulate("--latency", "0", "--dialect", "evolink")
    for prompt in ("once", "twice", "twice"):
        submit(simulator, prompt=prompt)
    again = {prompt: entry["again"] for prompt, entry in simulator.stats()["tasks_by_prompt"].items()}
    assert again == {"once": 0, "twice": 1}


def test_a_poll_that_hangs_and_an_id_that_changes(simulate: Start) -> None:
    simulator = simulate(scenario=scenario("kind = 'poll_hang'\ntimes = 1", "kind = 'task_changes_id'"))
    hanging, changing = begun(simulator), begun(simulator)
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as plug:
        plug.sendall(f"GET {hanging} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {CANARY}\r\n\r\n".encode())
        simulator.wait_for("polls_in_flight", 1)
    simulator.wait_for("polls_in_flight", 0)
    assert simulator.stats()["poll_statuses"] == {"cut": 1}
    assert simulator.ask("GET", hanging, **KEY).json()["status"] == "completed"
    shown = simulator.ask("GET", changing, **KEY).json()
    assert (shown["status"], shown["id"] == changing.rpartition("/")[2]) == ("completed", False)
    assert simulator.ask("GET", f"/v1/tasks/{shown['id']}", **KEY).status == 404


def test_answers_that_were_not_asked_for(simulate: Start) -> None:
    simulator = simulate(scenario=scenario("kind = 'task_in_sync_reply'", "kind = 'sync_in_async_reply'"))
    id = submit(simulator).json()["id"]
    assert len(simulator.ask("GET", f"/v1/tasks/{id}", **KEY).json()["data"]) == 1
    assert len(submit(simulator, **ASYNC).json()["data"]) == 1
    stats = simulator.stats()
    assert (stats["billed_images"], stats["tasks"]["submitted"]) == (2, 1)


def test_limits_count_submits_and_not_polls(simulate: Start) -> None:
    simulator = simulate("--latency", "0", "--dialect", "evolink", "--rpm", "1")
    path = f"/v1/tasks/{submit(simulator).json()['id']}"
    assert [simulator.ask("GET", path, **KEY).status for _ in range(3)] == [200] * 3
    assert submit(simulator).status == 429
    stats = simulator.stats()
    assert (stats["polls"], stats["requests"], stats["worst_second_polls"] >= 1) == (3, 2, True)
