"""What is said when a whole run is refused."""

from __future__ import annotations

import pytest

from jobs.brake import Brake
from jobs.refusals import Addressee
from schemas.errors import ExitCode, Reason
from schemas.failures import Failure, FailureKind

KIND = FailureKind


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (KIND.AUTH, "the key from .env (KEY) was refused: no"),
        (KIND.FORBIDDEN, "the key from .env (KEY) may not do this: no"),
        (KIND.QUOTA, "no money or quota is left for the key from .env (KEY): no"),
        (
            KIND.NOT_FOUND,
            "there is no such path or model at https://h (most end in a version: --base-url https://h/v1): no",
        ),
        (KIND.NOT_AN_API, "https://h leads to no API: no"),
        (KIND.CONNECT, "no"),
    ],
)
def test_the_key_or_the_address_is_named(kind: FailureKind, told: str) -> None:
    assert Addressee(".env (KEY)", "https://h").told(Failure(kind, "no")) == told


@pytest.mark.parametrize("base_url", ["https://h/v1", "https://h/openai/deployments/d?api-version=1", ""])
def test_a_version_is_proposed_only_where_there_is_none(base_url: str) -> None:
    assert "--base-url" not in Addressee("", base_url).told(Failure(KIND.NOT_FOUND, "no"))


def test_one_connection_that_no_retry_mends_ends_a_run_that_has_no_image() -> None:
    brake = Brake(20)
    brake.failed(Failure(KIND.CONNECT, "refused"))
    assert brake.suspicion is None
    brake.failed(Failure(KIND.CONNECT, "the certificate is not trusted", lasting=True))
    assert brake.suspicion == Reason(ExitCode.ACCOUNT, "the certificate is not trusted")


def test_a_run_that_has_an_image_is_not_ended_by_one_bad_certificate() -> None:
    brake = Brake(20)
    brake.failed(Failure(KIND.CONNECT, "the certificate is not trusted", lasting=True))
    brake.succeeded()
    assert brake.suspicion is None
    brake.failed(Failure(KIND.CONNECT, "the certificate is not trusted", lasting=True))
    assert brake.suspicion is None
