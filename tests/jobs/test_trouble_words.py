"""Why a run waits, in words for people."""

from __future__ import annotations

import pytest

from jobs.trouble_words import trouble_text
from schemas.failures import Failure, FailureKind


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (
            Failure(
                FailureKind.CONNECT,
                "no connection: Cannot connect to host no.invalid:443: Name or service not known",
            ),
            "cannot connect (Name or service not known)",
        ),
        (
            Failure(FailureKind.CONNECT, "no connection: the certificate of h:443 is not trusted: expired"),
            "cannot connect (the certificate of h:443 is not trusted: expired)",
        ),
        (Failure(FailureKind.RATE_LIMITED, "slow down", http_status=429), "service busy (429)"),
        (Failure(FailureKind.OVERLOADED, "later", http_status=503), "service overloaded (503)"),
        (
            Failure(FailureKind.SERVER_ERROR, "oops", http_status=500),
            "service reports an error of its own (500)",
        ),
        (Failure(FailureKind.TIMEOUT, "no answer within 600 s"), "requests get no answer in time"),
    ],
)
def test_a_few_words_say_what_is_wrong(failure: Failure, text: str) -> None:
    assert trouble_text(failure) == text


@pytest.mark.parametrize("kind", FailureKind)
def test_no_kind_is_told_by_its_name_in_the_table(kind: FailureKind) -> None:
    text = trouble_text(Failure(kind, "no connection: " + "x\n" * 1000))
    assert "_" not in text and "\n" not in text and len(text) < 150
