"""`python tests/bench/export.py [IMAGES [KB]]`: exports of each shape against a plain copy of the files, in one run.

A local service answers with one noisy picture, so that nothing compresses. Prints MB of images a second, as a share of what
`cp -r` and `sync` reach, and the most resident memory of each command.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

COMMAND = str(Path(sys.executable).with_name("imagemill"))
IMAGES = 200
KB = 100
A_ROW = 4
SHAPES = ("imagefolder", "imagefolder --copy", "parquet", "webdataset", "csv", "geneval", "t2i-compbench")
GRIDS = ("dpg-bench", "unigenbench", "genarena")


def picture(kb: int) -> bytes:
    """A PNG of about so many kilobytes."""
    side = max(int((kb * 1000 / 3) ** 0.5), 16)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Service(ThreadingHTTPServer):
    """Answers every request with the same picture, four times."""

    daemon_threads = True

    def __init__(self, kb: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        image = {"b64_json": base64.b64encode(picture(kb)).decode()}
        self.answer = json.dumps({"created": 1, "data": [image] * A_ROW}).encode()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        """Reads the request to its end, and answers."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def make_folder(place: Path, images: int, kb: int) -> None:
    """`place/o`, with so many images."""
    with (place / "p.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "prompt"])
        table.writerows([f"r{row}", f"prompt {row}"] for row in range(images // A_ROW))
    service = Service(kb)
    url = f"http://127.0.0.1:{service.server_port}/v1"
    subprocess.run(
        [
            COMMAND,
            "run",
            "p.csv",
            "--out",
            "o",
            "--base-url",
            url,
            "--n",
            str(A_ROW),
            "-q",
            "--price",
            "0.01",
        ],
        cwd=place,
        env={**os.environ, "IMAGEMILL_API_KEY": "sk-canary-40d8b6f2e97a1c53"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    service.shutdown()
    service.server_close()


def measured(place: Path, *command: str) -> tuple[float, float]:
    """Seconds with the data on the disk, and the most resident MB."""
    os.sync()
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    os.sync()
    if status:
        raise SystemExit(f"{' '.join(command)}: exit code {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main(images: int = IMAGES, kb: int = KB) -> None:
    """Measure all and print a line each."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_folder(place, images, kb)
        files = list((place / "o/images").rglob("*.png"))
        mb = sum(file.stat().st_size for file in files) / 1e6
        print(f"{len(files):,} images, {mb:,.0f} MB")  # noqa: T201
        copy_s, _ = measured(place, "cp", "-r", "o/images", "copied")
        shutil.rmtree(place / "copied")
        print(f"{'cp -r':20} {mb / copy_s:8,.0f} MB/s  1.00")  # noqa: T201
        for shape in (*SHAPES, *GRIDS):
            seconds, peak = measured(place, COMMAND, "export", "o", "d", "--to", *shape.split())
            shutil.rmtree(place / "d")
            print(  # noqa: T201
                f"{shape:20} {mb / seconds:8,.0f} MB/s  {copy_s / seconds:.2f}  {peak:5,.0f} MB resident",
                flush=True,
            )


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:]))
