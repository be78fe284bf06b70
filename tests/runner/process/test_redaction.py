"""Secrets are in nothing that is shown, logged or kept."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.process.redaction import Redactor

KEY = "k3y+with/odd=chars&more"


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.register(KEY)
    return redactor


@pytest.mark.parametrize(
    "form",
    [KEY, quote(KEY), quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode(), f"Bearer {KEY}"],
)
def test_every_form_of_a_registered_secret(redactor: Redactor, form: str) -> None:
    assert redactor.text(f"a {form} b") in ("a [redacted] b", "a Bearer [redacted] b")


@given(before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_base64_at_every_alignment(before: bytes, after: bytes) -> None:
    redactor = Redactor()
    redactor.register(KEY)
    encoded = base64.b64encode(before + KEY.encode() + after).decode()
    assert "[redacted]" in redactor.text(encoded)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("get https://h/a.png?sig=x&se=1 now", "get https://h/a.png?… now"),
        ("https://u:p@h/a", "https://…@h/a"),
        (r"https:\/\/h\/a?sig=x\u0026b", r"https:\/\/h\/a?…"),
        ("/images/7?token=abc&n=2", "/images/7?token=…&n=2"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ('{"x-api-key": "abc"}', '{"x-api-key": "[redacted]"}'),
        ("Incorrect API key: sk-proj-12345678.", "Incorrect API key: [redacted]."),
        ("a question? https://h/a", "a question? https://h/a"),
        ("\x1b[31mred\x07\r\n\ttab\x9b\u202e", r"\x1b[31mred\x07\x0d\n\ttab\x9b\u202e"),
        ("lone \udce9", r"lone \udce9"),
        ("東京 🦊 [bold]", "東京 🦊 [bold]"),
    ],
)
def test_what_looks_like_a_secret_or_a_terminal_escape(text: str, safe: str) -> None:
    assert Redactor().text(text) == safe


def test_lines_can_be_kept() -> None:
    assert Redactor().text("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b"


def test_keys_only_leaves_the_rest_verbatim(redactor: Redactor) -> None:
    text = f"https://h/?sig=1 \x1b Bearer x {KEY}"
    assert redactor.keys(text) == text.replace(KEY, "[redacted]")


@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_a_stream_hides_the_key_wherever_it_is_cut(cuts: list[int]) -> None:
    redactor = Redactor()
    redactor.register(KEY)
    body = b"\x89PNG" * 20 + KEY.encode() + b"\0\xff" * 70 + KEY.encode() * 2 + b"end"
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:stop] for start, stop in pairwise(places)]
    assert b"".join(redactor.body_pieces(pieces)) == body.replace(KEY.encode(), b"[redacted]")


def test_nothing_registered_changes_nothing() -> None:
    assert b"".join(Redactor().body_pieces([b"abc"])) == b"abc"
    redactor = Redactor()
    redactor.register("abc")
    assert redactor.text("abc") == "abc"


SIGNED = (
    b'{"a": "https://h/x.png?X-Amz-Signature=abc&e=1", "b": "https:\\/\\/h\\/y.png?sig=d\\u0026e=2", '
    b'"c": "https://h/z.png\\u003ftoken=secret", "d": "what? yes", "e": "https://h/plain.png"}'
)
CUT = (
    b'{"a": "https://h/x.png?...", "b": "https:\\/\\/h\\/y.png?...", '
    b'"c": "https://h/z.png?...", "d": "what? yes", "e": "https://h/plain.png"}'
)


@given(cuts=st.lists(st.integers(0, len(SIGNED)), max_size=12))
def test_of_a_kept_body_the_queries_of_links_are_cut_wherever_its_pieces_end(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(SIGNED)]
    pieces = [SIGNED[start:stop] for start, stop in pairwise(places)]
    assert b"".join(Redactor().body_pieces(pieces)) == CUT


def test_a_link_without_end_keeps_no_query_of_a_usual_length() -> None:
    body = b"https://h/" + b"a" * 200_000 + b" https://h/x?sig=1"
    assert b"".join(Redactor().body_pieces([body[:90_000], body[90_000:]])) == body.replace(
        b"?sig=1", b"?..."
    )


def test_words_are_no_keys() -> None:
    redactor = Redactor()
    words = {"OLLAMA_API_KEY": "golden", "LOCAL_API_KEY": "dragonfireandice"}
    redactor.register_variables({**words, "REAL_API_KEY": "gAk7-2k3jh4kjh", "HOME": "/home/x1y2z3w4v5"})
    assert redactor.text("a golden dragonfireandice gAk7-2k3jh4kjh /home/x1y2z3w4v5") == (
        "a golden dragonfireandice [redacted] /home/x1y2z3w4v5"
    )


def test_json_echoes_are_hidden_in_kept_bodies(redactor: Redactor) -> None:
    echo = json.dumps({"oops": KEY}).replace("/", "\\/").replace("+", "\\u002B").encode()
    assert b"".join(redactor.body_pieces([echo])) == b'{"oops": "[redacted]"}'
