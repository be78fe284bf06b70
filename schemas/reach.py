"""Which settings choose what is outside of the job: a host that is asked, a command that is run, a file that is touched."""

from __future__ import annotations

from enum import Enum

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class Reach(Enum):
    """Part of a setting's type: `Annotated[str, Reach.OUTSIDE]`. A setting without it chooses nothing outside."""

    OUTSIDE = "a host, a command or a file"


def reaches_outside(table: type[BaseModel], key: str) -> bool:
    """Whether the setting of this dotted key does, or may: a key that no setting has is not trusted."""
    field: FieldInfo | None = None
    for name in key.split("."):
        if field is not None and not _is_table(field):
            break  # what lies below a setting is as the setting
        field = table.model_fields.get(name)
        if field is None:
            return True
        table = field.annotation if _is_table(field) else table  # type: ignore[assignment]
    return field is not None and any(isinstance(each, Reach) for each in field.metadata)


def _is_table(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
