"""Listings in pages, as LightRAG answers them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request

T = TypeVar("T")

MOST_ON_A_PAGE = 200
_LAST_PAGE = 10_000_000


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a listing is asked for. `offset` is of the first member, from 0."""

    request: Request
    page: int
    page_size: int

    @property
    def offset(self) -> int:
        """How many members come before it."""
        return (self.page - 1) * self.page_size

    def of(self, name: str, members: Sequence[T], document: Callable[[T], Any]) -> dict[str, Any]:
        """The answer, from all members; documents are made of those on the page only."""
        shown = members[self.offset : self.offset + self.page_size]
        return self.answer(name, [document(one) for one in shown], len(members))

    def answer(self, name: str, documents: Sequence[Any], total: int) -> dict[str, Any]:
        """The answer, from the members on the page and how many there are in all."""
        pages = -(-total // self.page_size)
        has_next = self.page < pages
        return {
            name: list(documents),
            "pagination": {
                "page": self.page,
                "page_size": self.page_size,
                "total_count": total,
                "total_pages": pages,
                "has_next": has_next,
                "has_prev": self.page > 1,
            },
            "next": self._next() if has_next else None,
        }

    def _next(self) -> str:
        """A link relative to the host: the host's own name behind a proxy is another one."""
        url = self.request.url.include_query_params(page=self.page + 1, page_size=self.page_size)
        return f"{url.path}?{url.query}"


async def _page(
    request: Request,
    page: Annotated[int, Query(ge=1, le=_LAST_PAGE, description="Which page, from 1.")] = 1,
    page_size: Annotated[int, Query(ge=10, le=MOST_ON_A_PAGE, description="Members on a page.")] = 50,
) -> Page:
    return Page(request, page, page_size)


Paged = Annotated[Page, Depends(_page)]
