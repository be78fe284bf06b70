"""Exchanges over TLS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from jobs.classify import BreakKind
from runner.http.messages import Answer, BrokenExchange
from tests.support.clock import run
from tests.support.exchanges import (
    BODY,
    KEY,
    broke,
    opened,
    post,
)
from tests.support.exchanges import way as way
from tests.support.rawserver import (
    Connection,
    RawServer,
    answering,
    chunked,
    head,
)

CLIENT = """
import asyncio, hashlib, json, sys
from yarl import URL
from jobs.connection_reuse import LEFT_IDLE_S
from runner.http.ssrf_guard import Guard
from runner.http.memory_budget import MemoryBudget, ResponseBudget
from runner.http.messages import Answer
from runner.http.resting import REST_S
from runner.http.client import Timeouts, HttpClient

async def main(base):
    told = {}
    async with HttpClient(base, {"Authorization": sys.argv[2]}, Guard(URL(base)), Timeouts(600)) as transport:
        for path in ("whole", "kept", "chunked", "more", "cut", "chunks_cut"):
            if path == "kept":
                await asyncio.sleep(LEFT_IDLE_S + 0.05)
            with MemoryBudget().share() as share:
                found = await transport.post(path, {"prompt": path}, {}, ResponseBudget(10**8, share))
            if isinstance(found, Answer):
                digests = [hashlib.sha256(image.data).hexdigest() for image in found.body.images]
                told[path] = [hashlib.sha256(b"".join(found.body.verbatim())).hexdigest(), digests]
            else:
                told[path] = [found.how.value, found.status]
            await asyncio.sleep(REST_S + 0.01)
        with MemoryBudget().share() as share:
            found = await transport.fetch(base + "/whole", ResponseBudget(10**8, share))
            told["fetch"] = hashlib.sha256(b"".join(found.body.raw)).hexdigest()
    print(json.dumps(told))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key.pem and cert.pem of 127.0.0.1, signed by nobody else."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    arguments = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    )
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([openssl, *arguments.split(), *files], cwd=folder, check=True, capture_output=True)
    return folder


def server_side(certificate: Path) -> ssl.SSLContext:
    """TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_barred(certificate: Path) -> None:
    async def main() -> tuple[Answer | BrokenExchange, int]:
        async with (
            RawServer(answering(BODY), tls=server_side(certificate)) as server,
            opened(server.base_url) as transport,
        ):
            return await post(transport), len(server.requests)

    found, requests = run(main())
    assert broke(found) == (BreakKind.BARRED, None)
    assert requests == 0


def test_over_tls_every_byte_arrives_and_a_cut_is_seen(certificate: Path) -> None:
    image = random.Random(9).randbytes(3_000_000)
    data = json.dumps({"data": [{"b64_json": base64.b64encode(image).decode()}]}, indent=2).encode()
    chunks = chunked(data, 8191)
    answers = {
        "/v1/whole": head(200, Content_Length=str(len(data))) + data,
        "/v1/kept": head(200, Content_Length=str(len(data))) + data,
        "/v1/chunked": head(200, Transfer_Encoding="chunked") + chunks,
        "/v1/more": head(200, Content_Length=str(len(data))) + data + b"x",
        "/v1/cut": head(200, Content_Length=str(len(data))) + data[:-1],
        "/v1/chunks_cut": head(200, Transfer_Encoding="chunked") + chunks[:-20],
    }

    async def handle(connection: Connection) -> None:
        target = ""
        while not target.endswith("cut"):
            target = (await connection.request()).target
            await connection.send(answers[target])

    async def main() -> tuple[dict[str, Any], int]:
        async with RawServer(handle, tls=server_side(certificate)) as server:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                textwrap.dedent(CLIENT),
                server.base_url,
                KEY["Authorization"],
                env={**os.environ, "SSL_CERT_FILE": str(certificate / "cert.pem")},
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate()
            return dict(json.loads(out)), server.connections

    digest = hashlib.sha256(data).hexdigest()
    told, opened_there = run(main())
    # one until more came than was told, one each for what is cut, and one for the link
    assert opened_there == 4
    assert told == {
        "whole": [digest, [hashlib.sha256(image).hexdigest()]],
        "kept": [digest, [hashlib.sha256(image).hexdigest()]],
        "chunked": [digest, [hashlib.sha256(image).hexdigest()]],
        "more": [digest, [hashlib.sha256(image).hexdigest()]],
        "cut": ["body_cut", 200],
        "chunks_cut": ["body_cut", 200],
        "fetch": digest,
    }
