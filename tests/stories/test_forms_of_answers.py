"""One run over a service that answers in every form: images are kept, refusals are refusals, errors are what they say."""

from __future__ import annotations

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service

ENDS = {
    "event_stream": ("succeeded", None),
    "response_form": ("succeeded", None),
    "error_200": ("succeeded", None),
    "html_503": ("succeeded", None),
    "refused_slot": ("failed", "moderation"),
    "refused_in_words": ("failed", "moderation"),
    "moderation_200": ("failed", "moderation"),
    "upstream_200": ("parked", "gateway"),
    "bad_json": ("failed", "bad_content"),
    "plain": ("succeeded", None),
}
ONCE = ("error_200", "html_503")
"""Kinds that pass."""


def test_every_form_of_answer_is_what_it_says(command: CommandLine) -> None:
    (command.cwd / "prompts.csv").write_text("id,prompt\n" + "".join(f"{kind},a <{kind}>\n" for kind in ENDS))
    faults = (
        f'[[fault]]\nmatch = "<{kind}>"\nkind = "{kind}"\n' + ("times = 1\n" if kind in ONCE else "")
        for kind in ENDS
        if kind != "plain"
    )
    (command.cwd / "forms.toml").write_text("".join(faults))
    with Service(command, "--scenario", "forms.toml", "--latency", "0") as service:
        arguments = ("run", "prompts.csv", "--base-url", service.base_url, "--price", "0.04", "--out", "out")
        first = command(*arguments, "--json", "-q", environ=WITH_CANARY)
        assert first.code == 3
        sent = service.stats()["by_prompt"]
        assert command(*arguments, "--json", "-q", environ=WITH_CANARY).code == 3
        assert service.stats()["by_prompt"] == sent
    rows = {row["row_id"]: row for row in command.results("out")}
    assert {name: (row["status"], row["error_kind"]) for name, row in rows.items()} == ENDS
    assert {name for name in ENDS if sent[f"a <{name}>"] == 2} == set(ONCE)
    assert {row["maybe_billed"] for name, row in rows.items() if name in ONCE} == {0}
    kept = {path.name for path in (command.cwd / "out" / "quarantine").iterdir()}
    assert all(any(name.startswith(slug) for name in kept) for slug in ("upstream", "bad", "moderation"))
    assert command("verify", "out").code == 0
