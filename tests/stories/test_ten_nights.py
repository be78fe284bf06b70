"""Ten nights of one job over a change of month, with real processes, and the sum of what was paid at the end.

Manifests grow and are edited; one night is killed, one finds the service down, one runs out of budget, one overlaps the
next, one has a revoked key. Ids tell the night that a row came in: `n3-1` is the second row of the third night.
"""

from __future__ import annotations

import signal
from collections import Counter

from tests.support.audience import post
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended, Service
from tests.support.nights import METRICS, PRICE, Nights, nights, pinged
from tests.support.servedjob import HANG_S
from tests.support.waiting import until

NOVEMBER, DECEMBER = "2026-11", "2026-12"
STUCK_IN_NOVEMBER = ["n3-1", "n3-2"]
STUCK_IN_DECEMBER = ["n6-1", "n6-2"]
CAP = 0.62


def test_ten_nights(command: CommandLine) -> None:
    """G0, G1, G3-G6, G8-G10, G15: every row is accounted for, and nothing is bought twice."""
    with post() as office, nights(command, office) as story:
        with story.serving(("n3-[12]", "hang")) as service:
            a_plain_night_and_the_same_again(story, service)
            a_manifest_that_grew_and_was_edited(story, service)
            a_night_that_is_killed(story, service)
        the_service_is_down(story)
        with story.serving(("n6-[12]", "hang"), ("n9-0$", "moderation")) as service:
            the_budget_is_reached(story, service)
            a_night_that_overlaps_the_next(story, service)
            a_revoked_key(story, service)
            the_rest_with_a_good_key(story, service)
            rows_that_cannot_be_made(story)
            what_is_parked_is_sent_by_name(story, service)
        everything_is_accounted_for(story)
        every_run_is_listed(story)


def a_plain_night_and_the_same_again(story: Nights, service: Service) -> None:
    story.bring(NOVEMBER, "d26.csv", "n1-0", "n1-1", "n1-2")
    story.rows[NOVEMBER]["d26.csv"]["n1-0"][1] = "2"
    story.write(NOVEMBER)
    said = story.night("2026-11-26", 0)
    assert (said["requests_sent"], said["images_saved"], said["by_status"]) == (3, 4, {"succeeded": 4})
    before = story.kept(NOVEMBER)
    again = story.night("2026-11-26", 0)
    assert (again["requests_sent"], again["rows_skipped"], service.stats()["requests"]) == (0, 3, 3)
    assert story.kept(NOVEMBER) == before


def a_manifest_that_grew_and_was_edited(story: Nights, service: Service) -> None:
    story.bring(NOVEMBER, "a-sorts-first.csv", "n2-0", "n2-1")
    story.rows[NOVEMBER]["d26.csv"]["n1-1"][0] = "the painting n1-1 at dawn"
    story.write(NOVEMBER)
    before = story.kept(NOVEMBER)
    said = story.night("2026-11-27", 2)
    assert "n1-1   prompt: 'the painting n1-1' -> 'the painting n1-1 at dawn'" in said["exit_reason"]
    assert service.stats()["requests"] == 3
    assert story.kept(NOVEMBER) == before
    said = story.night("2026-11-27", 0, "--on-change", "regenerate")
    assert (said["requests_sent"], said["images_saved"], service.stats()["requests"]) == (3, 3, 6)


def a_night_that_is_killed(story: Nights, service: Service) -> None:
    story.bring(NOVEMBER, "d28.csv", *(f"n3-{at}" for at in range(5)))
    story.office.taken.clear()
    going = story.start("2026-11-28")
    until(lambda: service.stats()["faults"].get("hang") == 2)
    until(lambda: story.ledger(NOVEMBER, "SELECT count(*) FROM outcomes") == [(7,)])
    until(lambda: story.metrics["imagemill_running"] == 1)
    going.send_signal(signal.SIGKILL)
    going.communicate(timeout=HANG_S)
    story.runs.append((NOVEMBER, None))
    assert story.office.taken == [("/night/start", "")]
    assert story.metrics["imagemill_last_run_exit_code"] == 0  # of the night before
    assert service.stats()["requests"] == 9


def the_service_is_down(story: Nights) -> None:
    story.bring(NOVEMBER, "d29.csv", "n4-0", "n4-1")
    said = story.night("2026-11-29", 5, "--give-up", "1s")
    assert said["by_status"] == {"succeeded": 7, "parked": 2, "pending": 4}
    assert story.ids(NOVEMBER, "parked") == STUCK_IN_NOVEMBER
    assert (said["requests_sent"], said["maybe_billed"], said["folder"]["maybe_billed"]) == (0, 0, 2)


def the_budget_is_reached(story: Nights, service: Service) -> None:
    story.bring(NOVEMBER, "d30.csv", "n5-0", "n5-1")
    said = story.night("2026-11-30", 8, "--max-cost", str(CAP))
    assert said["by_status"] == {"succeeded": 9, "parked": 2, "pending": 4}
    assert (said["next"], service.stats()["requests"]) == (
        f"imagemill plan runs/{NOVEMBER}/job.toml",
        2,
    )
    assert CAP - PRICE < said["folder"]["cost_usd"] + said["folder"]["maybe_billed"] * PRICE <= CAP


def a_night_that_overlaps_the_next(story: Nights, service: Service) -> None:
    """In a new month: what the old one left is finished first."""
    day = "2026-12-01"
    story.bring(DECEMBER, "d01.csv", *(f"n6-{at}" for at in range(5)))
    story.office.taken.clear()
    going = story.start(day, "--drain", "0")
    until(lambda: service.stats()["faults"].get("hang") == 2)
    until(lambda: story.ledger(DECEMBER, "SELECT count(*) FROM outcomes") == [(1,)])
    until(lambda: story.metrics["imagemill_running"] == 1)
    story.runs.append((NOVEMBER, 3))
    story.is_conserved(NOVEMBER)
    assert story.statuses(NOVEMBER) == {"succeeded": 13, "parked": 2}

    metrics = (story.command.cwd / METRICS).read_bytes()
    patient = story.start(day, "--wait-lock", "2m")
    refused = story.command(*story.arguments(day), environ=WITH_CANARY)
    assert (refused.code, refused.json["exit_code"]) == (6, 6)
    assert (story.command.cwd / METRICS).read_bytes() == metrics
    going.send_signal(signal.SIGTERM)
    ends = [Ended(each.wait(HANG_S), each.communicate()[0], "") for each in (going, patient)]
    assert [end.code for end in ends] == [143, 3]
    story.runs.append((DECEMBER, 143))
    said = story.told(day, ends[1])
    assert said["by_status"] == {"succeeded": 3, "parked": 2}
    assert story.ids(DECEMBER, "parked") == STUCK_IN_DECEMBER
    told = [pinged(said) for said in (refused.json, ends[0].json, said)]
    assert sorted(story.pings()) == sorted([("/night/start", ""), ("/night/start", ""), *told])


def a_revoked_key(story: Nights, service: Service) -> None:
    story.bring(DECEMBER, "d02.csv", "n7-0", "n7-1", "n7-2")
    billed = service.stats()["billed_images"]
    said = story.night("2026-12-02", 4, key="invalid")
    assert said["by_status"] == {"succeeded": 3, "parked": 2, "pending": 3}
    assert said["exit_reason"].startswith("the key from ")
    assert service.stats()["billed_images"] == billed


def the_rest_with_a_good_key(story: Nights, service: Service) -> None:
    """One edited row keeps its image, one row is gone from the manifest."""
    rows = story.rows[DECEMBER]["d01.csv"]
    rows["n6-0"][0] = "the painting n6-0, restored"
    del rows["n6-4"]
    story.bring(DECEMBER, "d03.csv", "n8-0")
    billed = service.stats()["billed_images"]
    said = story.night("2026-12-03", 3, "--on-change", "keep")
    assert (said["by_status"], said["removed"]) == ({"succeeded": 6, "parked": 2}, 1)
    assert service.stats()["billed_images"] == billed + 4
    assert [row["row_id"] for row in story.results(DECEMBER) if "edited" in row["flags"]] == ["n6-0"]


def rows_that_cannot_be_made(story: Nights) -> None:
    story.bring(DECEMBER, "d04.csv", "n9-0", "n9-1", "n9-2")
    rows = story.rows[DECEMBER]["d04.csv"]
    rows["n9-1"][0] = ""
    story.write(DECEMBER)
    said = story.night("2026-12-04", 3, "--on-change", "keep")
    assert said["by_error"] == {"interrupted": 2, "moderation": 1, "invalid_row": 1}
    assert (story.ids(DECEMBER, "failed"), story.ids(DECEMBER, "invalid")) == (["n9-0"], ["n9-1"])
    rows["n9-0"][0] = "the painting n9-0, milder"
    rows["n9-1"][0] = "the painting n9-1"
    story.bring(DECEMBER, "d05.csv", "n10-0")


def what_is_parked_is_sent_by_name(story: Nights, service: Service) -> None:
    """Also that of a month whose job is over. The tenth night makes what was mended, and all is done."""
    for month, ids, code in ((NOVEMBER, STUCK_IN_NOVEMBER, 0), (DECEMBER, STUCK_IN_DECEMBER, 3)):
        before = Counter(service.stats()["by_prompt"])
        retried = story.command("retry", f"runs/{month}", "--parked", "--json", environ=WITH_CANARY)
        assert retried.code == code, retried.err
        sent = Counter(service.stats()["by_prompt"]) - before
        assert sent == {f"the painting {row_id}": 1 for row_id in ids}
        story.runs.append((month, code))
    assert story.night("2026-12-05", 0, "--on-change", "keep")["by_status"] == {"succeeded": 12}


def everything_is_accounted_for(story: Nights) -> None:
    for month in (NOVEMBER, DECEMBER):
        story.is_conserved(month)
        assert {*story.statuses(month)} == {"succeeded"}
        assert story.lost_images(month) == []
        assert story.command("verify", f"runs/{month}").code == 0
    paid = story.paid(NOVEMBER, DECEMBER)
    assert story.billed.keys() <= paid.keys()
    for prompt, entry in paid.items():
        assert entry.images <= story.billed[prompt] <= entry.images + entry.maybe
    stuck = {f"the painting {row_id}" for row_id in (*STUCK_IN_NOVEMBER, *STUCK_IN_DECEMBER)}
    assert {prompt for prompt, entry in paid.items() if entry.maybe} == {*stuck, "the painting n9-0"}
    once = {prompt: images for prompt, images in story.billed.items() if prompt not in stuck}
    assert {prompt for prompt, images in once.items() if images > 1} == {"the painting n1-0"}  # n = 2
    assert {story.billed[prompt] for prompt in stuck} == {2}


def every_run_is_listed(story: Nights) -> None:
    runs = story.command("runs", "paintings.toml", "--limit", "99", "--json").json["runs"]
    listed = [(run["out"][-7:], run["exit_code"]) for run in reversed(runs)]
    assert sorted(listed, key=str) == sorted(story.runs, key=str)
    assert [run["exit_reason"] for run in runs if run["exit_code"] is None] == ["killed"]
    paid = story.paid(NOVEMBER, DECEMBER).values()
    assert sum(run["images_saved"] for run in runs) == sum(entry.images for entry in paid)
    assert sum(run["maybe_billed"] for run in runs) == sum(entry.maybe for entry in paid)
    assert round(sum(run["cost_usd"] or 0 for run in runs), 6) == round(
        PRICE * sum(e.images for e in paid), 6
    )
