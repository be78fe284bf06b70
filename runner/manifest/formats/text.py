"""Text without columns: one prompt a line, or a folder of `.txt` files, each one prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from runner.manifest.lines import MAX_LINE_BYTES, Lines, line_blocks, not_utf8, utf8_chunks
from runner.manifest.records import Locations, ManifestError
from runner.manifest.sources import SourceFile, local_source, open_text, printable, reading
from runner.manifest.tables import Block, Malformed, Table, gather, text_block

SUFFIX = ".txt"

_BAD_NAME = "the file's name is not UTF-8; rename the file"


def open_lines(source: SourceFile) -> Table:
    """Every line is a prompt; blank lines are none."""
    with open_text(source) as file:
        next(line_blocks(file), None)
    return Table(
        source.name,
        ("prompt",),
        partial(dict.fromkeys, ("prompt",), pa.string()),
        partial(_line_blocks, source),
    )


def local_folder(folder: Path) -> list[tuple[str, SourceFile]]:
    """Ids and files of a folder's `.txt` files, sorted by name; hidden files and subfolders are left out.

    The names are in memory at once.
    """
    names = sorted(path.name for path in folder.iterdir() if is_prompt_file(path.name) and path.is_file())
    return [(name[: -len(SUFFIX)], local_source(folder / name, printable(name))) for name in names]


def folder_table(files: Sequence[tuple[str, SourceFile]], label: str) -> Table:
    """One prompt a file, with the file's name as its id. Raises ManifestError where there is no file."""
    if not files:
        raise ManifestError(
            f"{label} is a folder without .txt files",
            fix="name a file, a folder of .txt files (one prompt each), or a pattern such as 'folder/*.parquet'",
        )
    names = ("id", "prompt")
    return Table(label, names, partial(dict.fromkeys, names, pa.string()), partial(_file_blocks, files))


def is_prompt_file(name: str) -> bool:
    """Whether a file of this name counts in a folder of prompts."""
    return name.lower().endswith(SUFFIX) and not name.startswith(".")


def _line_blocks(source: SourceFile, columns: Mapping[str, str]) -> Iterator[Block]:
    with open_text(source) as file:
        lines = Lines(line_blocks(file))
        for batch in gather(_prompts(lines), lambda: lines.passed_bytes):
            yield text_block(
                Locations("line %d", batch.starts), {"prompt": batch.items}, columns, batch.malformed
            )


def _prompts(lines: Lines) -> Iterator[tuple[int, str | Malformed]]:
    """Line number and text of each line that is not blank."""
    for number, line in enumerate(lines.read_from(1), 1):
        lines.hold = number
        problem = lines.problem(number, number + 1)
        if problem is not None:
            yield number, Malformed(problem)
        elif not line.isspace():
            yield number, line.rstrip("\r\n")


def _file_blocks(files: Sequence[tuple[str, SourceFile]], columns: Mapping[str, str]) -> Iterator[Block]:
    passed = 0

    def records() -> Iterator[tuple[str, tuple[str, str] | Malformed]]:
        nonlocal passed
        for name, source in files:
            prompt = _file_text(source)
            if isinstance(prompt, Malformed):
                yield source.name, Malformed(prompt.problem, (name if _is_utf8(name) else None, None))
                continue
            passed += len(prompt)
            yield source.name, (name, prompt) if _is_utf8(name) else Malformed(_BAD_NAME, (None, prompt))

    for batch in gather(records(), lambda: passed):
        ids, prompts = zip(*((None, None) if item is None else item for item in batch.items), strict=True)
        yield text_block(
            Locations("%s", batch.starts), {"id": ids, "prompt": prompts}, columns, batch.malformed
        )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _file_text(source: SourceFile) -> str | Malformed:
    """The whole file without its final line end, if it has one."""
    with reading(source.name), source.stream() as file:
        chunks, offset = utf8_chunks(file)
        data = b"".join(_capped(chunks))
    source.check()
    if len(data) > MAX_LINE_BYTES:
        return Malformed(f"the file has more than {MAX_LINE_BYTES >> 20} MiB; shorten it or remove it")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return Malformed(not_utf8(error, offset))
    end = next((end for end in ("\r\n", "\n", "\r") if text.endswith(end)), "")
    return text.removesuffix(end)


def _capped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Chunks up to the one in which `MAX_LINE_BYTES` are passed."""
    passed = 0
    for chunk in chunks:
        yield chunk
        passed += len(chunk)
        if passed > MAX_LINE_BYTES:
            return
