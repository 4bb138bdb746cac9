"""What a LightRAG server says about its pipeline, over HTTP.

Standard library only, in a worker thread, with a ceiling on time and size: a wedged LightRAG hangs instead of refusing.
The API key goes to the origin it was meant for and nowhere else, so redirects to another origin are refused, and
proxies are not used: a server whose files lie on this machine is not behind one.
"""

import asyncio
import http.client
import json
import math
import os
import re
import time
import urllib.error
import urllib.request
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

from ..arguments import check_server_url
from ..errors import ConfigurationError, InvalidInputError, ServerError
from ..threads import aside

V = TypeVar("V")

KEY_VARIABLE = "LIGHTRAG_API_KEY"

_TOTAL_S = 10.0
_SILENCE_S = 5.0
_LEAST_S = 1.0
_BODY_MAX_BYTES = 16 << 20

_WRITTEN_STORES = frozenset(
    {"full_docs", "text_chunks", "full_entities", "full_relations", "entity_chunks", "relation_chunks", "doc_status"}
)
"""Key-value stores whose update flag means "not on disk yet". The LLM cache is left out: queries keep changing it on an
idle pipeline."""


class Server:
    """One LightRAG server.

    Args:
        url: http:// or https://, with the server's prefix if it has one.
        api_key: sent as `X-API-Key`; None sends none.
        until: by when answers are waited for, on the monotonic clock; each for a second at least.

    Raises:
        InvalidInputError: url is no address. ConfigurationError: the key cannot be sent.
    """

    def __init__(self, url: str, api_key: str | None, until: float = math.inf) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError(
                f"{KEY_VARIABLE} holds a line break or another character that cannot be sent: correct it",
                target=KEY_VARIABLE,
            )
        self._until = until
        self._url = check_server_url(url).rstrip("/")
        self._headers = {"Accept": "application/json", **({"X-API-Key": api_key} if api_key else {})}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _SameOrigin())

    async def occupied(self) -> str | None:
        """What keeps the files moving, as half a sentence, or None when the pipeline is idle and everything is on disk.

        Raises:
            ServerError: no answer, a refused key, or an answer that is not LightRAG's.
        """
        status = await self._get("/documents/pipeline_status")
        if not isinstance(status.get("busy"), bool):
            raise self._error(
                "answered /documents/pipeline_status with something else than LightRAG's pipeline; check the address"
            )
        if status["busy"] or status.get("scanning") or status.get("destructive_busy"):
            left = max(self._typed(status, "docs", int, 0) - self._typed(status, "cur_batch", int, 0), 0)
            return f"job {self._typed(status, 'job_name', str, '')!r} runs with {left} documents left"
        if uploads := self._typed(status, "pending_enqueues", int, 0):
            return f"{uploads} uploads are being accepted"
        flags = self._typed(status, "update_status", dict, {})
        written = [store for store in flags if store.rpartition(":")[2] in _WRITTEN_STORES]
        dirty = sorted(store for store in written if any(self._typed(flags, store, list, [])))
        return f"{', '.join(dirty)} not written to disk yet" if dirty else None

    async def serves(self, working_dir: str, workspace: str) -> bool:
        """Whether it says that it serves this very place.

        Raises:
            ServerError: no answer, or an answer that is not LightRAG's.
        """
        health = await self._get("/health")
        try:
            return self._serves(health, self._typed(health, "configuration", dict, {}), working_dir, workspace)
        except InvalidInputError:
            return False

    async def facts(self, working_dir: str, workspace: str) -> dict[str, Any]:
        """What a snapshot of this place records about the server; JSON-ready, without paths or addresses.

        `server_unverified` is true when the server's answer does not tell that it serves this very place.

        Raises:
            InvalidInputError: the server serves another working directory or workspace.
            ServerError: no answer, or an answer that is not LightRAG's.
        """
        health = await self._get("/health")
        settings = self._typed(health, "configuration", dict, {})
        kept = {
            "server_unverified": not self._serves(health, settings, working_dir, workspace),
            "lightrag_version": self._typed(health, "core_version", str, ""),
            "lightrag_api_version": self._typed(health, "api_version", str, ""),
            "embedding_model": self._typed(settings, "embedding_model", str, ""),
            "storage_kinds": {
                name: settings[name]
                for name in settings
                if name.endswith("_storage") and isinstance(settings[name], str)
            },
        }
        return {name: value for name, value in kept.items() if value}

    def _serves(self, health: dict[str, Any], settings: dict[str, Any], working_dir: str, workspace: str) -> bool:
        """Whether the server is known to serve this place: False when it does not say, or not in terms of this host."""
        own_dir = self._typed(health, "working_directory", str, "")
        own_workspace = self._workspace(settings)
        same_dir = _same_directory(own_dir, working_dir)
        # Servers may report the name as it was configured, while LightRAG's directory has the sanitised one.
        if same_dir is False or (
            own_workspace is not None and workspace not in (own_workspace, _sanitised(own_workspace))
        ):
            raise InvalidInputError(
                f"the LightRAG server at {self._url} serves workspace {own_workspace or ''!r} of {own_dir!r}, not"
                f" workspace {workspace!r} of {working_dir!r}: name the server of these files, or correct the directory"
                " or the workspace",
                op="cut",
                target=self._url,
            )
        return bool(same_dir) and own_workspace is not None

    def _workspace(self, settings: dict[str, Any]) -> str | None:
        """The workspace served, "" for the unnamed one; None when the server does not say."""
        if "workspace" in settings:
            return self._typed(settings, "workspace", str, "")
        stores = self._typed(settings, "storage_workspaces", dict, {})
        return self._typed(stores, "kv_storage", str, "") if "kv_storage" in stores else None

    def _typed(self, answer: dict[str, Any], name: str, kind: type[V], otherwise: V) -> V:
        """A member of an answer; `otherwise` when it is absent or null."""
        value = answer.get(name)
        if value is None:
            return otherwise
        if not isinstance(value, kind):
            raise self._error(f"answered with {name!r} of another type than LightRAG's; check the address")
        return value

    async def _get(self, path: str) -> dict[str, Any]:
        started = time.monotonic()
        total_s = min(_TOTAL_S, max(self._until - started, _LEAST_S))
        try:
            async with asyncio.timeout(total_s):
                return await aside(self._fetch, path, total_s)
        except TimeoutError as error:
            waited_s = time.monotonic() - started
            raise self._error(f"did not answer {path} within {waited_s:.2g} s; is it wedged?") from error

    def _fetch(self, path: str, total_s: float) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, headers=self._headers)
        try:
            with self._opener.open(request, timeout=min(_SILENCE_S, total_s)) as answer:
                found = json.loads(_read(answer, time.monotonic() + total_s))
        except urllib.error.HTTPError as error:
            with error:
                raise self._error(_refusal(error.code, path)) from error
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise self._error(
                f"cannot be reached ({getattr(error, 'reason', error)}); is it running, is the address right?"
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._error(f"answered {path} with something else than JSON; check the address") from error
        if not isinstance(found, dict):
            raise self._error(f"answered {path} with something else than LightRAG does; check the address")
        return found

    def _error(self, what: str) -> ServerError:
        return ServerError(f"the LightRAG server at {self._url} {what}", op="cut", target=self._url)


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Follows redirects within one origin."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        here, there = urlsplit(req.full_url), urlsplit(newurl)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise urllib.error.URLError(
                f"it redirects to another origin, {there.scheme}://{there.hostname}, which is not given the API key"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _same_directory(theirs: str, ours: str) -> bool | None:
    """Whether both paths lead to one directory; None when the server's says nothing here: it is relative to the
    server's own directory, or of a container with other mounts.
    """
    if not os.path.isabs(theirs):
        return None
    try:
        return os.path.samestat(os.stat(theirs), os.stat(ours))
    except (OSError, ValueError):
        return None


def _sanitised(workspace: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", workspace)


def _refusal(code: int, path: str) -> str:
    if code in (401, 403):
        return f"refused the API key (HTTP {code}); set LIGHTRAG_API_KEY to the server's key"
    return f"answered {path} with HTTP {code}; check the address and the server's log"


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    body = bytearray()
    while piece := answer.read1(65536):
        body += piece
        if len(body) > _BODY_MAX_BYTES:
            raise ValueError("the answer is too long")
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(body)
