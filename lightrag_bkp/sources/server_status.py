"""What a LightRAG server says about its pipeline, over HTTP.

Standard library only, in a worker thread, with a ceiling on time and size: a wedged LightRAG hangs instead of refusing.
The API key goes to the origin it was meant for and nowhere else, so redirects to another origin are refused, and
proxies are not used: a server whose files lie on this machine is not behind one.
"""

import asyncio
import http.client
import json
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

from ..errors import InvalidInputError, ServerError

_TOTAL_S = 10.0
_SILENCE_S = 5.0
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
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise InvalidInputError(
                f"server_url {url!r} is no http:// or https:// address", op="cut", target="server_url"
            )
        self._url = url.rstrip("/")
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
            left = max(int(status.get("docs") or 0) - int(status.get("cur_batch") or 0), 0)
            return f"job {status.get('job_name')!r} runs with {left} documents left"
        if status.get("pending_enqueues"):
            return f"{status['pending_enqueues']} uploads are being accepted"
        flags = status.get("update_status") or {}
        dirty = sorted(store for store in flags if store.rpartition(":")[2] in _WRITTEN_STORES and any(flags[store]))
        return f"{', '.join(dirty)} not written to disk yet" if dirty else None

    async def facts(self) -> dict[str, Any]:
        """What a snapshot records about the server; JSON-ready, without paths or addresses."""
        health = await self._get("/health")
        settings = health.get("configuration") or {}
        kept = {
            "lightrag_version": health.get("core_version"),
            "lightrag_api_version": health.get("api_version"),
            "embedding_model": settings.get("embedding_model"),
            "workspace": settings.get("workspace"),
            "storage_kinds": {
                name: settings[name]
                for name in settings
                if name.endswith("_storage") and isinstance(settings[name], str)
            },
        }
        return {name: value for name, value in kept.items() if value}

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_TOTAL_S):
                return await asyncio.to_thread(self._fetch, path)
        except TimeoutError as error:
            raise self._error(f"did not answer {path} within {_TOTAL_S:g} s; is it wedged?") from error

    def _fetch(self, path: str) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, headers=self._headers)
        try:
            with self._opener.open(request, timeout=_SILENCE_S) as answer:
                found = json.loads(_read(answer, time.monotonic() + _TOTAL_S))
        except urllib.error.HTTPError as error:
            with error:
                raise self._error(_refusal(error.code, path)) from error
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise self._error(
                f"cannot be reached ({getattr(error, 'reason', error)}); is it running, is the address right?"
            ) from error
        except ValueError as error:
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
                f"it redirects to another origin, {there.scheme}://{there.netloc}, which is not given the API key"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


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
