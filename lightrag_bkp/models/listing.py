"""Long answers, made as they are read."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

V = TypeVar("V")


class Listing(Sequence[V]):
    """A read-only sequence whose values are made when they are asked for, so that a million of them cost little.

    Equal to a sequence of equal values. Slices and copies of it, pickled ones too, are tuples.

    Args:
        rows: what the values are made of.
        make: makes one of them.
    """

    __slots__ = ("_make", "_rows")

    def __init__(self, rows: Sequence[Any], make: Callable[[Any], V]) -> None:
        self._rows = rows
        self._make = make

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> V: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[V, ...]: ...

    def __getitem__(self, at: int | slice) -> V | tuple[V, ...]:
        if isinstance(at, slice):
            return tuple(self._make(self._rows[place]) for place in range(*at.indices(len(self))))
        return self._make(self._rows[at])

    def __iter__(self) -> Iterator[V]:
        return map(self._make, self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Listing | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(mine == yours for mine, yours in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[tuple[V, ...]], tuple[tuple[V, ...]]]:
        return tuple, (tuple(self),)

    def __repr__(self) -> str:
        return f"<{len(self)} of {', '.join(map(repr, self[:2]))}{', ...' if len(self) > 2 else ''}>"
