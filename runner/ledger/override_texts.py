"""The filled templates of a retry, row by row, in a SQLite file, so that what was checked is what is sent."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from pathlib import Path

from jobs.overrides import FilledTexts


class TextStore:
    """Texts by manifest position, whatever their number: none is held in memory."""

    def __init__(self, path: Path) -> None:
        """path: a file in OUT's temporary folder, which is cleared when OUT is opened next."""
        self._path = path
        path.unlink(missing_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute("CREATE TABLE texts (position INTEGER PRIMARY KEY, texts TEXT NOT NULL)")
        self._connection.execute("BEGIN")

    def put(self, position: int, texts: FilledTexts) -> None:
        """Keep the texts of the row at this manifest position."""
        kept = json.dumps([dict(texts.fields), dict(texts.params)])
        self._connection.execute("INSERT INTO texts VALUES (?,?)", (position, kept))

    def get(self, position: int) -> FilledTexts:
        """The texts of the row at this manifest position."""
        found = self._connection.execute("SELECT texts FROM texts WHERE position=?", (position,)).fetchone()
        return FilledTexts(*json.loads(found[0]))

    def close(self) -> None:
        """Remove the file."""
        self._connection.close()
        with suppress(OSError):
            self._path.unlink()
