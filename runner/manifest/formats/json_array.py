"""The items of one JSON array, whatever its length: only the item being read is in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator

from runner.manifest.formats.json_record import DECODER, Record, parse_record
from runner.manifest.lines import MAX_LINE_BYTES
from runner.manifest.records import ManifestError
from runner.manifest.tables import Malformed

MAX_ITEM_CHARS = MAX_LINE_BYTES
"""A longer item is taken to be broken, and ends the reading."""

_BLANK = re.compile(r"[ \t\r\n]*")


# Not ijson: it gives values (`1e5` as Decimal("1E+5"), `-0` as 0), and a row keeps the text that was written.
class ArrayItems:
    """Reads the items of the array that `chunks` hold. source: the file's name, for messages."""

    def __init__(self, chunks: Iterator[str], source: str) -> None:
        self._chunks = chunks
        self._source = source
        self._text = ""
        self._at = 0
        self._line = 1  # of the character at `_counted`
        self._counted = 0
        self.passed_chars = 0

    def records(self, once: Container[str]) -> Iterator[tuple[tuple[int, int], Record | Malformed]]:
        """Line (from 1), item number (from 1) and record of each item.

        once: as in `parse_record`. Raises ManifestError where the array breaks off: what follows cannot be told apart.
        """
        self._expect("[")
        number = 0
        while self._sign() != "]":
            if number:
                self._expect(",")
            self._sign()
            number += 1
            line = self._line_here()
            yield (line, number), parse_record(self._value(), once)
        self._expect("]")
        if self._sign():
            raise self._broken("text follows the array")

    def _sign(self) -> str:
        """The next character that is not blank, not consumed; "" at the end of the text."""
        while True:
            found = _BLANK.match(self._text, self._at)
            self._at = found.end() if found is not None else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _expect(self, sign: str) -> None:
        if self._sign() != sign:
            raise self._broken(f"a {sign!r} is missing")
        self._at += 1

    def _value(self) -> str:
        """The source text of the value that starts here."""
        while True:
            try:
                _, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MAX_ITEM_CHARS or not self._more():
                    raise self._broken(f"an item is not valid JSON ({error.msg})") from error
            except RecursionError as error:
                raise self._broken("an item is nested too deeply") from error
            else:
                if end < len(self._text) or not self._more():  # a number may go on behind the chunk
                    value = self._text[self._at : end]
                    self._at = end
                    return value

    def _more(self) -> bool:
        """Lets go of what is consumed and takes in the next chunk; False at the end of the text."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._line_here()
        self._text = self._text[self._at :] + chunk
        self._at = self._counted = 0
        self.passed_chars += len(chunk)
        return True

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _broken(self, problem: str) -> ManifestError:
        return ManifestError(
            f"{self._source}: line {self._line_here()}: {problem}",
            fix="write the array again, or write JSON lines: one object a line, in a .jsonl file",
        )
