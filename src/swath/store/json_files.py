"""Records of the store as JSON. Each kind of file is one frozen class, written and read through these functions.

A record carries the number of the schema it was written with. Fields that a reader does not know are left out; fields
that an older writer did not know have the class's default; a newer schema and a damaged file are refused by name.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from swath.core.errors import DamagedRecordError, StoreError
from swath.store.storage import Storage

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
SCHEMA = 1
"""Of the records as the classes of this version describe them; files without a number have the first."""


def write_record(storage: Storage, key: str, record: "DataclassInstance | Sequence[DataclassInstance]") -> None:
    """Replace a record, or a sequence of records.

    Args:
        storage: The store.
        key: Of the object.
        record: A dataclass, or a sequence of dataclasses; their fields are plain values or dataclasses.
    """
    content = [asdict(one) for one in record] if isinstance(record, Sequence) else asdict(record)
    storage.write(key, to_bytes(content))


def read_record(storage: Storage, key: str, kind: type[T], cure: str = "") -> T | None:
    """A record, or None where there is none.

    Args:
        storage: The store.
        key: Of the object.
        kind: The dataclass, or `tuple[...]` of one.
        cure: As of `from_bytes`.

    Raises:
        DamagedRecordError: The object is damaged.
        StoreError: It is of a newer swath.
    """
    data = storage.read_or_none(key)
    return None if data is None else from_bytes(data, kind, f"{key} in the store", cure)


def to_bytes(content: object) -> bytes:
    """Plain JSON as files of the store hold it."""
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def from_bytes(data: bytes, kind: type[T], file: str, cure: str = "") -> T:
    """The record that a file holds.

    Args:
        data: The file's content.
        kind: The dataclass, or `tuple[...]` of one.
        file: What messages call it.
        cure: What to do about a file that cannot be used; "" where it is made again once it is deleted.

    Raises:
        DamagedRecordError: The content is no JSON, lacks fields, or has values of another type.
        StoreError: It is of a newer schema.
    """
    cured = cure or "delete it to have it made again"
    try:
        content = json.loads(data)
    except ValueError as error:
        raise DamagedRecordError(f"{file} is no JSON ({error}); {cured}.") from error
    schema = content.get("schema", 1) if isinstance(content, dict) else 1
    if isinstance(schema, int) and schema > SCHEMA:
        raise StoreError(
            f"{file} was written by a newer swath (schema {schema}; this one reads up to {SCHEMA}). "
            f"Install that version, or {cure or 'use another --storage'}."
        )
    try:
        return _adapter(kind).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "its content"
        problem = f"{field}: {first['msg'].lower()}"
        raise DamagedRecordError(f"{file} is damaged ({problem}); {cured}.") from error


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)
