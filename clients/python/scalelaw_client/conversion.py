"""Messages as records: dataclasses that have fields of the same names."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, Dict, Generic, Iterable, List, Type, TypeVar

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")

#: Full name of a message -> its record.
KINDS: Dict[str, Type[Any]] = {}


def record_for(message: Type[Message]) -> Callable[[Type[T]], Type[T]]:
    """Decorates the dataclass that stands for a message."""

    def register(record: Type[T]) -> Type[T]:
        KINDS[message.DESCRIPTOR.full_name] = record
        return record

    return register


class Records(List[T], Generic[T]):
    """A list of records, which is a table as well."""

    def rows(self) -> List[Dict[str, Any]]:
        """A flat dict per record: `params.width`, `latest.loss`; what is nested deeper or a list stays as it is."""
        return [_flat(record) for record in self]

    def to_dataframe(self) -> "pandas.DataFrame":
        """Columns as in `rows`. Needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_dataframe() needs pandas (Debian: python3-pandas, or pip install pandas); "
                              "rows() gives dicts without it") from error
        return pandas.DataFrame.from_records(self.rows())


def _flat(record: Any) -> Dict[str, Any]:
    row: Dict[str, Any] = {}
    for part in dataclasses.fields(record):
        value = getattr(record, part.name)
        if dataclasses.is_dataclass(value):
            value = {inner.name: getattr(value, inner.name) for inner in dataclasses.fields(value)}
        if isinstance(value, dict):
            row.update({f"{part.name}.{key}": inner for key, inner in value.items()})
        else:
            row[part.name] = value
    return row


def record_of(message: Message) -> Any:
    """The record that stands for a message."""
    kind = KINDS[message.DESCRIPTOR.full_name]
    known = message.DESCRIPTOR.fields_by_name
    return kind(**{part.name: _value(message, known[part.name]) for part in dataclasses.fields(kind)})


def records_of(messages: Iterable[Message]) -> "Records[Any]":
    return Records(record_of(message) for message in messages)


def _value(message: Any, of: FieldDescriptor) -> Any:
    value = getattr(message, of.name)
    if of.label == FieldDescriptor.LABEL_REPEATED:
        if of.message_type is not None and of.message_type.GetOptions().map_entry:
            return dict(value)
        return [record_of(element) for element in value] if of.message_type is not None else list(value)
    if of.has_presence and not message.HasField(of.name):
        return None
    if of.message_type is None:
        return short_name(of.enum_type, value) if of.enum_type is not None else value
    if of.message_type is timestamp_pb2.Timestamp.DESCRIPTOR:
        return datetime.fromtimestamp(value.seconds, timezone.utc).replace(microsecond=value.nanos // 1000)
    if of.message_type is struct_pb2.Struct.DESCRIPTOR:
        return _plain_struct(value)
    return record_of(value) if of.message_type.full_name in KINDS else value


def short_name(enum: Any, number: int) -> str:
    """`RUN_STATE_RUNNING` -> `running`."""
    names = [value.name for value in enum.values]
    prefix = names[0][: -len("UNSPECIFIED")]
    known = enum.values_by_number.get(number)
    return known.name[len(prefix):].lower() if known is not None else str(number)


def _plain_struct(struct: struct_pb2.Struct) -> Dict[str, Any]:
    return {key: _plain(struct.fields[key]) for key in sorted(struct.fields)}


def _plain(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain_struct(value.struct_value)
    if kind == "list_value":
        return [_plain(element) for element in value.list_value.values]
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return getattr(value, kind) if kind not in (None, "null_value") else None
