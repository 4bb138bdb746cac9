"""Documents of a server as values of this package: whoever answers may be anybody, so that nothing of an answer is used
before its shape was looked at here.

What a value must be follows from its class: `read(Item, document)` gives an `Item`, whose members have the types the
class names. Members the class does not have are passed over, but for those of a TypedDict, which are kept as they are.
"""

import dataclasses
import enum
import functools
import math
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

V = TypeVar("V")

_LARGEST = 1 << 63


class Unreadable(ValueError):
    """A document is not what it is said to be; the message names the member."""


def read(kind: type[V], document: object, where: str = "the answer") -> V:
    """A value of this type: a dataclass, an enumeration, a text, a number, a time, or a container of these.

    Raises:
        Unreadable: it is none.
    """
    return cast("V", _value(kind, document, where))


def _value(kind: Any, found: object, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return found
    if origin in (types.UnionType, Union):
        if found is None and types.NoneType in inner:
            return None
        (only,) = (one for one in inner if one is not types.NoneType)
        return _value(only, found, where)
    if origin in (tuple, list, Sequence):
        members = _checked(list, found, where)
        made = [_value(inner[0], one, where) for one in members]
        return made if origin is list else tuple(made)
    if origin in (dict, Mapping):
        return {name: _value(inner[1], one, f"{where}.{name}") for name, one in _checked(dict, found, where).items()}
    if dataclasses.is_dataclass(kind) or is_typeddict(kind):
        return _members(kind, _checked(dict, found, where), where)
    return _plain(kind, found, where)


def _plain(kind: Any, found: object, where: str) -> Any:
    if kind is float:
        number = found if isinstance(found, int | float) and not isinstance(found, bool) else math.nan
        return _or_refuse(float(number) if abs(number) < _LARGEST else None, where, "a number")
    if kind is int:
        whole = isinstance(found, int) and not isinstance(found, bool) and abs(found) < _LARGEST
        return _or_refuse(found if whole else None, where, "a whole number")
    if kind is datetime:
        return moment(found, where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _or_refuse(next((one for one in kind if one.value == found), None), where, f"a {kind.__name__}")
    return _checked(kind, found, where)


def moment(found: object, where: str) -> datetime:
    """An aware time in UTC.

    Raises:
        Unreadable: it is none.
    """
    try:
        at = datetime.fromisoformat(_checked(str, found, where))
        return _or_refuse(at.astimezone(UTC) if at.tzinfo is not None else None, where, "a time with its zone")
    except (ValueError, OverflowError):
        raise Unreadable(f"{where} is not a time") from None


def _members(kind: Any, document: dict[str, Any], where: str) -> Any:
    hints, needed = _shape(kind)
    made = {name: _value(hint, document[name], f"{where}.{name}") for name, hint in hints.items() if name in document}
    lacking = needed - set(made)
    if lacking:
        _refuse(f"{where}.{min(lacking)}", "there")
    return document | made if is_typeddict(kind) else kind(**made)


@functools.cache
def _shape(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of a class's members, and which of them must be said."""
    hints = get_type_hints(kind, include_extras=False)
    if is_typeddict(kind):
        return hints, frozenset(kind.__required_keys__)
    fields = [one for one in dataclasses.fields(kind) if one.init]
    none = dataclasses.MISSING
    needed = frozenset(one.name for one in fields if one.default is none and one.default_factory is none)
    return {one.name: hints[one.name] for one in fields}, needed


def _checked(kind: type[V], found: object, where: str) -> V:
    return found if isinstance(found, kind) else _refuse(where, _NAMES.get(kind, f"a {kind.__name__}"))


def _or_refuse(value: V | None, where: str, what: str) -> V:
    return _refuse(where, what) if value is None else value


def _refuse(where: str, what: str) -> Any:
    raise Unreadable(f"{where} is not {what}")


_NAMES: dict[type, str] = {str: "a text", bool: "true or false", dict: "an object", list: "a list"}
