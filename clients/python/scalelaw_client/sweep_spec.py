"""Sweeps as people write them, a file, YAML or a dict, made into the message that is submitted.

The shape is that of the sweep files of `scalelaw submit`: `grid` is a map from parameter to its values, and one value may
stand for a list of one in `grid` and `budget`.
"""

from __future__ import annotations

import difflib
import math
import numbers
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Union

from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor

from .conversion import short_name
from .errors import InvalidArgument
from .v1 import sweeps_pb2

#: A sweep file's path; YAML text, which has more than one line; a dict of that shape; or the message.
Spec = Union[str, "os.PathLike[str]", Mapping[str, Any], sweeps_pb2.SweepSpec]


def sweep_spec(sweep: Spec) -> sweeps_pb2.SweepSpec:
    """InvalidArgument naming the field (`stages[0].grid.width`) and what is allowed there. `{here}` in a command stands
    for the folder of the file, and for the current one where there is no file."""
    if isinstance(sweep, sweeps_pb2.SweepSpec):
        return sweep
    here = Path.cwd()
    if isinstance(sweep, Mapping):
        content = sweep
    elif isinstance(sweep, str) and "\n" in sweep:
        content = _load_yaml(sweep)
    else:
        path = Path(sweep).absolute()
        here = path.parent
        try:
            content = _load_yaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"cannot read {os.fspath(sweep)}: {getattr(error, 'strerror', None) or error}") from error
    spec = sweeps_pb2.SweepSpec()
    _Reader(str(here)).read(content, "", spec)
    return spec


class _Number(float):
    """As it is written: `1e-3` in a command stays that."""

    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text


def struct(values: Mapping[str, Any], path: str) -> struct_pb2.Struct:
    """A map of parameters that is a field of its own."""
    return _Reader("").struct(values, path)


def _load_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise InvalidArgument("sweep files need PyYAML (Debian: python3-yaml); or give the sweep as a dict") from error

    class Loader(yaml.SafeLoader):
        """By YAML 1.2's core rules, as `scalelaw submit`: 1e11 is a number, `yes` and 2024-01-01 are text."""

        yaml_implicit_resolvers: dict = {}

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} is given twice",
                                                            key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(~|null|)$"), ["~", "n", ""])
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), ["t", "f"])
    Loader.add_implicit_resolver("tag:yaml.org,2002:float",
                                 re.compile(r"^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$"), list("-+.0123456789"))
    Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: _Number(node.value))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise InvalidArgument(f"not valid YAML: {error}") from error


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return f'"{value}"'
    return "a list"


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


# Those that a double, as in JSON and YAML, holds exactly.
_WHOLE_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(10**9), 10**9),
    FieldDescriptor.CPPTYPE_UINT32: (0, 10**9),
    FieldDescriptor.CPPTYPE_INT64: (-(2**53), 2**53),
}


class _Reader:
    """Walks a message's fields and the values given for them together."""

    def __init__(self, here: str):
        self._here = here

    def read(self, content: Any, path: str, message: Any) -> None:
        allowed = [field.name for field in message.DESCRIPTOR.fields]
        if not isinstance(content, Mapping):
            raise self._error(path, f"must be a map with the keys {', '.join(allowed)}; not {_kind(content)}")
        for key, value in content.items():
            field = message.DESCRIPTOR.fields_by_name.get(key)
            if field is None:
                likely = difflib.get_close_matches(str(key), allowed, 1)
                hint = f', did you mean "{likely[0]}"?' if likely else ""
                raise self._error(path, f'unknown key "{key}"{hint}; allowed are {", ".join(allowed)}')
            self._field(value, _join(path, key), message, field)

    def _field(self, value: Any, path: str, message: Any, field: FieldDescriptor) -> None:
        if value is None:
            raise self._error(path, "has no value")
        kind = field.message_type
        if kind is sweeps_pb2.GridAxis.DESCRIPTOR:
            self._grid(value, path, message)
        elif kind is not None and kind.GetOptions().map_entry:
            for key, word in self._map(value, path).items():
                getattr(message, field.name)[str(key)] = self._scalar(word, _join(path, key), kind.fields_by_name["value"])
        elif field.label == FieldDescriptor.LABEL_REPEATED:
            self._list(value, path, message, field)
        elif kind is struct_pb2.Struct.DESCRIPTOR:
            getattr(message, field.name).CopyFrom(self.struct(value, path))
        elif kind is not None:
            getattr(message, field.name).SetInParent()
            self.read(value, path, getattr(message, field.name))
        else:
            setattr(message, field.name, self._scalar(value, path, field))

    def _list(self, value: Any, path: str, message: Any, field: FieldDescriptor) -> None:
        if not _is_list(value):
            if field.containing_type is not sweeps_pb2.Budget.DESCRIPTOR:
                example = ", such as [python3, train.py], which no shell reads" if field.name == "command" else ""
                raise self._error(path, f"must be a list{example}; not {_kind(value)}")
            value = [value]
        elements = getattr(message, field.name)
        for i, element in enumerate(value):
            at = f"{path}[{i}]"
            if field.message_type is None:
                elements.append(self._scalar(element, at, field))
            elif field.message_type is struct_pb2.Struct.DESCRIPTOR:
                elements.append(self.struct(element, at))
            else:
                self.read(element, at, elements.add())

    def _grid(self, value: Any, path: str, stage: Any) -> None:
        for key, values in self._map(value, path).items():
            at = _join(path, key)
            axis = stage.grid.add(key=str(key))
            for i, element in enumerate(values if _is_list(values) else [values]):
                axis.values.append(self._value(element, f"{at}[{i}]"))

    def _map(self, value: Any, path: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._error(path, f"must be a map, such as {{width: [32, 64]}}; not {_kind(value)}")
        return value

    def struct(self, value: Any, path: str) -> struct_pb2.Struct:
        result = struct_pb2.Struct()
        for key, element in self._map(value, path).items():
            result.fields[str(key)].CopyFrom(self._value(element, _join(path, key)))
        return result

    def _value(self, value: Any, path: str) -> struct_pb2.Value:
        if value is None:
            raise self._error(path, "has no value")
        if isinstance(value, bool):
            return struct_pb2.Value(bool_value=value)
        if isinstance(value, numbers.Real):
            return struct_pb2.Value(number_value=float(value))
        if isinstance(value, (str, os.PathLike)):
            return struct_pb2.Value(string_value=os.fspath(value))
        if isinstance(value, Mapping):
            return struct_pb2.Value(struct_value=self.struct(value, path))
        if _is_list(value):
            return struct_pb2.Value(list_value=struct_pb2.ListValue(
                values=[self._value(element, f"{path}[{i}]") for i, element in enumerate(value)]))
        raise self._error(path, f"must be a number, a text, true or false, a list or a map; not a {type(value).__name__}")

    def _scalar(self, value: Any, path: str, field: FieldDescriptor) -> Any:
        """The value of a field, a list's element or a map's value that is no message."""
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            if isinstance(value, (str, os.PathLike)):
                return os.fspath(value).replace("{here}", self._here) if field.name == "command" else os.fspath(value)
            # [sleep, 3]
            if isinstance(value, numbers.Real):
                return str(value).lower() if isinstance(value, bool) else str(value)
            raise self._error(path, f"must be a word or text; not {_kind(value)}")
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            if isinstance(value, bool):
                return value
            raise self._error(path, f"must be true or false; not {_kind(value)}")
        if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
            words = {short_name(field.enum_type, one.number).replace("_", "-"): one.number
                     for one in field.enum_type.values if one.number}
            if not isinstance(value, str) or value not in words:
                raise self._error(path, f"must be {' or '.join(words)}; not {_kind(value)}")
            return words[value]
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise self._error(path, f"must be a number such as 3 or 1e11; not {_kind(value)}")
        if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
            return float(value)
        low, high = _WHOLE_NUMBERS[field.cpp_type]
        if not math.isfinite(value) or value != int(value) or not low <= int(value) <= high:
            raise self._error(path, f"must be a whole number from {low} to {high}; not {value}")
        return int(value)

    @staticmethod
    def _error(path: str, message: str) -> InvalidArgument:
        return InvalidArgument(f"{path}: {message}" if path else message)
