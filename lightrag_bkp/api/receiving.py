"""The receiver of replicas below the same prefix, so that senders need one address: plain ASGI, with its own keys."""

import asyncio
from typing import TYPE_CHECKING

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..errors import LightragBkpError
from ..threads import in_thread
from .context import PREFIX, Context
from .places import without_places

if TYPE_CHECKING:
    from ..receiving.app import ReceiveApplication


class Receiving:
    """An ASGI application that opens the receiver when the first request comes: a server may fork before."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._opening = asyncio.Lock()
        self._application: ReceiveApplication | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            application = await self._opened()
        except LightragBkpError as error:
            await _refuse(send, scope["path"], str(error))
            return
        await application(scope, receive, send)

    def close(self) -> None:
        """Waits for what is under way."""
        application, self._application = self._application, None
        if application is not None:
            application.close()

    async def _opened(self) -> "ReceiveApplication":
        async with self._opening:
            if self._application is None:
                self._application = await in_thread(_open, self._context)
                self._context.closing.append(self.close)
        return self._application


def routes(context: Context) -> list[Route]:
    """What is to be added to the router; it is in no OpenAPI document: docs/replication.md has the protocol."""
    return [Route(f"{PREFIX}/receive/{{path:path}}", Receiving(context), include_in_schema=False, name="receive")]


def _open(context: Context) -> "ReceiveApplication":
    from ..receiving.app import ReceiveApplication
    from ..receiving.here import open_receiver

    return ReceiveApplication(open_receiver(context.require_backup().storage_path))


async def _refuse(send: Send, path: str, why: str) -> None:
    """As the receiver itself says it cannot go on; where things lie is not for senders."""
    from ..receiving.app import BROKEN_S, say, told
    from ..receiving.refusal import Refusal

    await say(send, *told(Refusal(503, "NOT_READY", without_places(why), retry_after=BROKEN_S), path))
