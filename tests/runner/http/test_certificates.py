"""Services whose certificate a private authority has signed."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended
from tests.support.imageservice import PNG, ImageService


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


@pytest.fixture
def service(authority: trustme.CA) -> Iterator[ImageService]:
    """A service with a certificate of that authority, whose images are behind links."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ImageService(context) as server:
        server.link = f"{server.origin}/files/1.png"
        yield server


def run(command: CommandLine, service: ImageService, *options: str, **environ: str) -> Ended:
    (command.cwd / "prompts.csv").write_text("prompt\na fox\n")
    fixed = (
        "--base-url",
        service.base_url,
        "--price",
        "0.04",
        "--out",
        "out",
        "--attempts",
        "1",
        "-q",
        "--json",
    )
    return command("run", "prompts.csv", *fixed, *options, environ={**WITH_CANARY, **environ})


def test_a_certificate_that_nobody_vouches_for_sends_nothing_and_says_what_helps(
    command: CommandLine, service: ImageService
) -> None:
    run(command, service)
    assert service.seen == []
    (row,) = command.results("out")
    assert (row["error_kind"], row["maybe_billed"]) == ("connect", 0)
    assert f"the certificate of 127.0.0.1:{service.port} is not trusted: " in row["error_message"]
    assert "--set endpoint.ca_file=FILE.pem, or SSL_CERT_FILE" in row["error_message"]


@pytest.mark.parametrize("by", ["SSL_CERT_FILE", "endpoint.ca_file"])
def test_the_authority_can_be_named(
    command: CommandLine, service: ImageService, authority: trustme.CA, by: str
) -> None:
    path = command.cwd / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    if by == "SSL_CERT_FILE":
        done = run(command, service, SSL_CERT_FILE=str(path))
    else:
        done = run(command, service, "--set", "endpoint.ca_file=ca.pem")
    assert done.code == 0, done.err
    assert [path.read_bytes() for path in (command.cwd / "out" / "images").rglob("*.png")] == [PNG]
    assert service.seen == [("POST", "/v1/images/generations"), ("GET", "/files/1.png")]


def test_a_job_file_names_it_beside_itself_and_the_folder_goes_on_with_it(
    command: CommandLine, service: ImageService, authority: trustme.CA
) -> None:
    folder = command.cwd / "jobs"
    folder.mkdir()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "prompts.csv").write_text("prompt\na fox\na hare\n")
    (folder / "job.toml").write_text(
        f'manifest = "prompts.csv"\n[endpoint]\nbase_url = "{service.base_url}"\nca_file = "ca.pem"\n'
    )
    first = command("run", "jobs/job.toml", "--out", "out", "--limit", "1", "-q", environ=WITH_CANARY)
    assert first.code == 0, first.err
    shutil.copytree(command.cwd, command.cwd.with_name("elsewhere"))
    again = command("run", "out/job.toml", "--set", "input.limit=2", "-q", environ=WITH_CANARY)
    assert again.code == 0, again.err
    assert [method for method, _ in service.seen].count("POST") == 2


@pytest.mark.parametrize(
    ("options", "environ", "told"),
    [
        (("--set", "endpoint.ca_file=none.pem"), {}, "endpoint.ca_file"),
        (("--set", "endpoint.ca_file=prompts.csv"), {}, "holds no certificate"),
        ((), {"SSL_CERT_FILE": "none.pem"}, "SSL_CERT_FILE none.pem cannot be read"),
    ],
)
def test_a_file_that_is_of_no_use_ends_the_run_before_anything_is_sent(
    command: CommandLine, service: ImageService, options: tuple[str, ...], environ: dict[str, str], told: str
) -> None:
    done = run(command, service, *options, **environ)
    assert done.code == 2
    assert told in done.err + done.out
    assert service.seen == []
    assert not (command.cwd / "out").exists()


def test_another_machines_certificate_is_not_trusted_and_no_authority_helps(
    command: CommandLine, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("images.example").configure_cert(context)
    with ImageService(context) as service:
        run(command, service, "--set", "endpoint.ca_file=ca.pem")
        assert service.seen == []
    (row,) = command.results("out")
    assert "is not trusted: " in row["error_message"]
    assert "ca_file" not in row["error_message"]
