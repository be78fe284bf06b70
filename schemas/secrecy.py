"""How secret a setting is: a marker in the setting's own type, which everything else asks."""

from __future__ import annotations

from enum import IntEnum
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

BY_NAME = "env:"
"""How the value of a secret setting begins that names the environment variable which holds it."""


class Secrecy(IntEnum):
    """Where the value of a setting may stand. Part of the setting's type: `Annotated[str, Secrecy.SECRET]`."""

    OPEN = 0
    """Anywhere."""
    PRIVATE = 1
    """In no message, because people put secrets there by mistake; in OUT/job.toml, unless redaction finds one in it."""
    SECRET = 2
    """In no message and in no file, unless it names a variable (`env:NAME`)."""


def secrecy_in(table: type[BaseModel], key: str) -> Secrecy:
    """How secret the value of a dotted key is. A table is as secret as the most secret setting in it.

    What lies below a setting (`request.param.style`, `notify.urls.mail`) is as secret as the setting; a key that no
    setting has is PRIVATE, because nobody knows what it holds.
    """
    for name in key.split("."):
        field = table.model_fields.get(name)
        if field is None:
            return Secrecy.PRIVATE
        inner = _table_of(field)
        if inner is None:
            return _marker(field)
        table = inner
    return _most_secret(table)


def _marker(field: FieldInfo) -> Secrecy:
    return max((each for each in field.metadata if isinstance(each, Secrecy)), default=Secrecy.OPEN)


def _table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The table that a setting holds, which may also be absent; None for a plain value."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _most_secret(table: type[BaseModel]) -> Secrecy:
    inner = ((field, _table_of(field)) for field in table.model_fields.values())
    return max(_marker(field) if own is None else _most_secret(own) for field, own in inner)
