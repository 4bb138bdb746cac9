"""Taking LightRAG's pipeline for a while: no document is enqueued, processed or deleted meanwhile, in any worker.

LightRAG 1.5.5 and later have reservations with an owner: one of kind "clear" whose worker dies leaves the workspace
fenced, because a clear may not simply be run again. Before that the same flags are set by hand.
"""

import asyncio
import importlib
import uuid
from collections.abc import Mapping
from typing import Any

_OWNER = "busy_owner"
_KIND = "clear"
_RECORD = "operation_record"
_FENCE = "recovery_required"
_OBSTACLES = {
    "busy": "a job is running",
    "destructive_busy": "documents are being deleted",
    "scanning": "the input directory is being scanned",
    "pending_enqueues": "documents are being accepted",
    "manual_freeze_requested": "failed documents are about to be tried again",
    "recovery_required": "a worker died at a job that may not be repeated, and LightRAG wants POST"
    " /documents/recovery/force_reset",
}
"""Flags of the pipeline that stand in the way, and what they mean."""

_FREE = {"busy": False, "destructive_busy": False, _OWNER: None, _RECORD: None}

_SCOPE = {"scope": "restore"}
_KEPT = "kept"


class Reservation:
    """The pipeline of one LightRAG, taken or not.

    Args:
        rag: the LightRAG.
        job: what its status shows as the running job.
        operation: what is going on, for whoever has to clear up after a dead worker; JSON-ready.
    """

    def __init__(self, rag: Any, job: str, operation: Mapping[str, Any]) -> None:
        self._shared = importlib.import_module("lightrag.kg.shared_storage")
        self._rag = rag
        self._token = uuid.uuid4().hex
        self._by_hand = False
        self._record = {"kind": _KIND, **operation, **_SCOPE}
        self._flags: dict[str, Any] = {
            "busy": True,
            "destructive_busy": True,
            _RECORD: self._record,
            "job_name": job,
            "latest_message": job,
            **dict.fromkeys(("docs", "batchs", "cur_batch"), 0),
        }

    async def take(self) -> str | None:
        """Takes the pipeline, or says as half a sentence what is in the way. However it ends, `give_back` it.

        A pipeline that was never set up has nothing to be kept from.
        """
        status = await self._status()
        if status is None:
            return None
        lock = self._shared.get_namespace_lock("pipeline_status", workspace=self._rag.workspace)
        if not hasattr(self._shared, "acquire_reservation"):
            return await self._take_by_hand(status, lock)
        known = dict(status.copy())
        taken = await self._shared.acquire_reservation(
            status,
            lock,
            owner_key=_OWNER,
            owner=self._token,
            owner_kind=_KIND,
            flags=self._flags,
            reject_when=[(flag, flag) for flag in _OBSTACLES if flag in known and flag != "recovery_required"],
        )
        return None if taken.acquired else obstacle(taken.snapshot or known) or "it was taken a moment ago"

    async def give_back(self) -> bool:
        """Gives the pipeline back if it is held; returns whether work came meanwhile that nobody has begun. Runs to its
        end, whoever is cancelled.
        """
        if self._by_hand:
            return await asyncio.shield(asyncio.ensure_future(self._give_back_by_hand()))
        if not hasattr(self._shared, "release_owned_reservation"):
            return False
        ingress = await self._shared.get_pipeline_ingress(self._rag.workspace)

        def free(status: Any) -> bool:
            status.update(_FREE)
            return bool(ingress.has_work())

        return bool(
            await self._shared.release_owned_reservation(
                self._rag.workspace, owner_key=_OWNER, token=self._token, action=free
            )
        )

    async def keep(self, message: str) -> None:
        """Leaves the pipeline taken until the process ends, with a message in its status that says why."""
        status = await self._status()
        if status is not None:
            record = self._record | {_KEPT: message}
            status.update({"job_name": message, "latest_message": message, _RECORD: record})

    async def _status(self) -> Any | None:
        try:
            return await self._shared.get_namespace_data("pipeline_status", workspace=self._rag.workspace)
        except Exception as error:
            if type(error).__name__ == "PipelineNotInitializedError":
                return None
            raise

    async def _take_by_hand(self, status: Any, lock: Any) -> str | None:
        async with lock:
            known = dict(status.copy())
            found = obstacle(known)
            if found is not None:
                return found
            status.update({name: value for name, value in self._flags.items() if name in known})
            self._by_hand = True
        return None

    async def _give_back_by_hand(self) -> bool:
        status: Any = await self._status()
        async with self._shared.get_namespace_lock("pipeline_status", workspace=self._rag.workspace):
            known = dict(status.copy())
            status.update({name: value for name, value in _FREE.items() if name in known})
            self._by_hand = False
        return bool(known.get("request_pending"))


def is_deserted(status: Mapping[str, Any]) -> bool:
    """Whether a pipeline is taken by a restore whose process is gone. Only who is alone among the workers can tell: a
    living restore is.
    """
    record = _ours(status)
    return record is not None and _KEPT not in record


def kept(status: Mapping[str, Any]) -> str | None:
    """What `Reservation.keep` said when it left the pipeline taken for good; None when it did not."""
    record = _ours(status) or {}
    return str(record[_KEPT]) if _KEPT in record else None


async def free(rag: Any) -> bool:
    """Gives a deserted pipeline back; returns whether work came meanwhile that nobody has begun."""
    shared = importlib.import_module("lightrag.kg.shared_storage")
    status = await shared.get_namespace_data("pipeline_status", workspace=rag.workspace)
    async with shared.get_namespace_lock("pipeline_status", workspace=rag.workspace):
        known = dict(status.copy())
        updates: dict[str, Any] = {_RECORD: None}
        if (known.get(_OWNER) or {}).get("kind") == _KIND:
            updates |= _FREE
        if _ours(known.get(_FENCE) or {}) is not None:  # who came across the dead owner has put it up
            updates[_FENCE] = None
        status.update(updates)
    return bool((await shared.get_pipeline_ingress(rag.workspace)).has_work())


def _ours(holder: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The record of what goes on, if that is a restore."""
    record = holder.get(_RECORD)
    return record if isinstance(record, Mapping) and record.items() >= _SCOPE.items() else None


def obstacle(status: Mapping[str, Any]) -> str | None:
    """What in the pipeline's state stands in the way, as half a sentence; None when nothing does."""
    found = next((flag for flag in reversed(_OBSTACLES) if status.get(flag)), None)
    if found is None:
        return None
    job = status.get("job_name")
    return _OBSTACLES[found] + (f" ({job})" if found == "busy" and job else "")
