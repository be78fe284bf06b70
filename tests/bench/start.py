"""`python tests/bench/start.py [ROWS]`: what the length of a manifest costs, and how soon `--help` is there.

Prints ratios, each of two figures measured in one run, because seconds on a shared machine say little.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

COMMAND = str(Path(sys.executable).with_name("imagemill"))
KEY = "sk-canary-40d8b6f2e97a1c53"
SHORT_ROWS = 1_000
LONG_ROWS = 1_000_000
REQUESTS = 20
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One run over a manifest that ends after `REQUESTS` requests and writes the whole results table.

    start_s: from the process's start to its first request. peak_mb: most resident memory, to the end.
    """

    start_s: float
    peak_mb: float
    exit_code: int
    results_rows: int


def _picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


class _Service(ThreadingHTTPServer):
    """Answers every request with one small picture and notes when the first one came."""

    daemon_threads = True
    answer = json.dumps({"created": 1, "data": [{"b64_json": _picture()}]}).encode()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.first_request_at: float | None = None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Service

    def do_POST(self) -> None:
        if self.server.first_request_at is None:
            self.server.first_request_at = time.perf_counter()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        pass


def write_manifest(path: Path, rows: int) -> None:
    """A CSV of so many distinct prompts of about 60 characters."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "prompt", "seed"))
        writer.writerows(
            (f"row-{row:07}", f"A quiet harbour in the rain, painting number {row} of a series", row)
            for row in range(rows)
        )


def _peak_mb(pid: int) -> float:
    """Most resident memory of a process so far; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next(
        (int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0
    )


def run(folder: Path, rows: int) -> Run:
    """Write a manifest of so many rows below `folder` and run it."""
    manifest = folder / f"{rows}.csv"
    write_manifest(manifest, rows)
    service, out = _Service(), folder / f"out-{rows}"
    url = f"http://127.0.0.1:{service.server_address[1]}/v1"
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "IMAGEMILL_API_KEY": KEY}
    options = ("--base-url", url, "--max-requests", str(REQUESTS), "--out", str(out), "--json", "-q")
    begun = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, "run", str(manifest), *options], stdout=subprocess.PIPE, env=environ, cwd=folder
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _peak_mb(process.pid))
        time.sleep(0.02)
    assert process.stdout is not None
    summary = json.loads(process.stdout.read().splitlines()[-1])
    service.shutdown()
    service.server_close()
    assert service.first_request_at is not None, summary
    return Run(service.first_request_at - begun, peak, process.returncode, sum(summary["by_status"].values()))


def seconds(*arguments: str) -> float:
    """The shortest of several runs of a command."""
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def main(rows: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(folder, SHORT_ROWS + 1)  # warms the file cache
        short, long = run(folder, SHORT_ROWS), run(folder, rows)
    helped, pandas = seconds(COMMAND, "--help"), seconds(sys.executable, "-c", "import pandas")
    lines = (
        f"first request   {SHORT_ROWS:,} rows {short.start_s:.2f} s   {rows:,} rows {long.start_s:.2f} s"
        f"   ratio {long.start_s / short.start_s:.2f}",
        f"peak memory     {SHORT_ROWS:,} rows {short.peak_mb:.0f} MB   {rows:,} rows {long.peak_mb:.0f} MB"
        f"   more {long.peak_mb - short.peak_mb:.0f} MB",
        f"--help          {helped:.3f} s   import pandas {pandas:.3f} s   ratio {helped / pandas:.2f}",
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else LONG_ROWS)
