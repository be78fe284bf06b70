"""A secret is found in whatever form a service sends it back, and nothing else is touched."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.text.secret_forms import SecretForms

KEYS = ["sk-secretkey-0123456789abcdef", "Zq9/AbC+dEf=GhIjKlMn0pQrStUv"]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def forms(key: str) -> dict[str, str]:
    """Ways in which servers write a text."""
    raw = key.encode()
    wrapped = b64(f"Authorization: Bearer {key}".encode())
    lines = [wrapped[at : at + 20] for at in range(0, len(wrapped), 20)]
    return {
        "plain": key,
        "json of PHP": json.dumps(key)[1:-1].replace("/", r"\/"),
        "json escaped": "".join(rf"\u{ord(letter):04x}" for letter in key),
        "json of .NET": key.replace("+", r"\u002B"),
        "quoted": quote(key, safe=""),
        "quoted throughout": "".join(f"%{byte:02X}" for byte in raw),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "html": "".join(f"&#{byte};" for byte in raw),
        "html in hex": "".join(f"&#x{byte:X};" for byte in raw),
        "html escaped": html.escape(key),
        "base64": b64(raw),
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode(),
        "base64 within": b64(b"x" + raw + b"y"),
        "base64 of a header": b64(f"Bearer {key}".encode()),
        "base64 over lines": "\n".join(lines),
        "base64 over lines in JSON": r"\n".join(lines),
        "base64 twice": b64(b64(raw).encode()),
        "base64 twice within": b64(b64(b"Bearer " + raw).encode()),
        "base64 in JSON of PHP": b64(raw).replace("/", r"\/"),
        "base64 quoted": quote(b64(raw), safe=""),
        "two lines": f"{key[:12]}\n{key[12:]}",
        "two lines, indented": f"{key[:12]}\r\n  {key[12:]}",
        "two lines in JSON": rf"{key[:12]}\r\n{key[12:]}",
    }


@pytest.mark.parametrize("form", forms("x"))
@pytest.mark.parametrize("key", KEYS)
def test_every_form_is_replaced(key: str, form: str) -> None:
    written = forms(key)[form]
    replaced = SecretForms(KEYS).replace(f"<b>bad {written} end</b>", "[-]")
    assert "[-]" in replaced
    assert replaced.startswith("<b>bad ") and replaced.endswith(" end</b>")
    assert written[len(written) // 3 : -len(written) // 3] not in replaced


@given(st.text(max_size=300))
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert SecretForms(KEYS).replace(text, "[-]") == text


@given(st.text(alphabet="xyz (é東", max_size=40), st.text(alphabet="xyz )é東", max_size=40))
def test_what_is_around_it_stays(before: str, after: str) -> None:
    assert SecretForms(KEYS).replace(f"{before}{KEYS[0]}{after}", "[-]") == f"{before}[-]{after}"


@pytest.mark.parametrize("piece", ["%73", r"\n", "&#115;", r"\u0073", "\n ", "s", "sk-"])
def test_no_text_makes_the_pattern_run_away(piece: str) -> None:
    """A pattern that tries every way to read half a megabyte would not end."""
    text = piece * (500_000 // len(piece))
    assert SecretForms(KEYS).replace(f"{text}|{KEYS[0]}", "[-]") == f"{text}|[-]"


@pytest.mark.parametrize(
    "written", ["geheim 東京 passwort", "geheim+%E6%9D%B1%E4%BA%AC+passwort", r"geheim \u6771\u4eac passwort"]
)
def test_a_password_with_blanks_and_other_letters(written: str) -> None:
    assert SecretForms(["geheim 東京 passwort"]).replace(f"a {written} b", "[-]") == "a [-] b"
