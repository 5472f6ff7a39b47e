"""A worker's side of the queue in memory, and its way from a worker process over a Unix socket.

``WorkerRpcServer`` runs in the store's process and gives each connection a ``MemoryWorker``, which
``WorkerRpcClient`` reaches from the worker. A frame is a length and a JSON object. A connection
that ends, for whatever reason, gives back the jobs it held.
"""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path
from typing import Unpack, cast

from gram_server.errors import JobUnreadable, LinkClosed
from gram_server.job import (
    Data,
    Event,
    Job,
    JobError,
    JobState,
    WorkerReport,
    dump,
    from_bytes,
    load_event,
    load_job,
    load_report,
    to_bytes,
)
from gram_server.jobs.memory_store import MemoryStore
from gram_server.jobs.store import Outcome, Room

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 64 << 20
BROKEN = (ValueError, KeyError, TypeError, AttributeError)
"""What a frame raises that is not of the protocol."""

logger = logging.getLogger(__name__)


class MemoryWorker:
    """What one worker may do with the jobs that it holds: late calls change nothing.

    Used in the process of the store, under a name that no connected worker has.
    """

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self._name = name
        self.cancelled: asyncio.Queue[str | None] = asyncio.Queue()
        self.last_report: WorkerReport | None = None
        store.add_worker(name, self)

    async def claim(self, **room: Unpack[Room]) -> list[Job]:
        while True:
            arrival = self._store.arrival
            jobs = self._store.take(self._name, **room)
            if jobs or not room.get("can_wait", True):
                return jobs
            await arrival.wait()

    async def publish(self, job_id: str, event: Event) -> None:
        if entry := self._store.held(self._name, job_id):
            entry.append(event)

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: Outcome = JobState.DONE
    ) -> None:
        if entry := self._store.held(self._name, job_id):
            self._store.finish(entry, outcome, result=result)

    async def fail(self, job_id: str, *, code: str, detail: str) -> None:
        if entry := self._store.held(self._name, job_id):
            self._store.finish(entry, JobState.FAILED, error=JobError(code=code, detail=detail))

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        entries = (self._store.held(self._name, job_id) for job_id in job_ids)
        self._store.put_back([entry for entry in entries if entry is not None])

    async def cancellations(self) -> AsyncIterator[str]:
        while (job_id := await self.cancelled.get()) is not None:
            yield job_id

    async def report(self, report: WorkerReport) -> None:
        self.last_report = report

    async def close(self) -> None:
        self.cancelled.put_nowait(None)
        self._store.lose(self._name)


class WorkerRpcServer:
    """Gives worker processes access to the store of this process."""

    def __init__(self, store: MemoryStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on the socket; only this user may connect."""
        self._server = await asyncio.start_unix_server(self._accept, path=self._path)
        self._path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        try:
            name = str((await _read_frame(reader))["worker"])
            await _Session(MemoryWorker(self._store, name), reader, writer).run()
        except (LinkClosed, asyncio.CancelledError):
            logger.debug("link connection ended")
        except BROKEN:
            logger.exception("link connection broke the protocol")
        finally:
            self._sessions.discard(session)
            writer.close()


class _Session:
    """One connection of a worker: passes its calls to its side of the store."""

    def __init__(
        self, worker: MemoryWorker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._worker = worker
        self._reader = reader
        self._writer = writer
        self._claims: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        cancellations = asyncio.create_task(self._forward_cancellations())
        try:
            while True:
                await self._call(await _read_frame(self._reader))
        finally:
            cancellations.cancel()
            for claim in self._claims.values():
                claim.cancel()
            await self._worker.close()

    async def _call(self, frame: Data) -> None:
        worker = self._worker
        match frame["call"]:
            case "claim":
                number = frame["number"]
                claim = asyncio.create_task(self._claim(number, frame["room"]))
                self._claims[number] = claim
                claim.add_done_callback(lambda _: self._claims.pop(number, None))
            case "unclaim":
                if waiting := self._claims.get(frame["number"]):
                    waiting.cancel()
            case "publish":
                await worker.publish(frame["job"], load_event(frame["event"]))
            case "complete":
                outcome = cast("Outcome", JobState(frame["outcome"]))
                await worker.complete(frame["job"], frame["result"], outcome=outcome)
            case "fail":
                await worker.fail(frame["job"], code=frame["code"], detail=frame["detail"])
            case "hand_back":
                await worker.hand_back(frame["jobs"])
            case "report":
                await worker.report(load_report(frame["report"]))
            case unknown:
                raise ValueError(f"no call {unknown}")

    async def _claim(self, number: int, room: Room) -> None:
        try:
            jobs = await self._worker.claim(**room)
        except LinkClosed:
            # The store is closing and ends the connection itself.
            return
        frame = {"call": "jobs", "number": number, "jobs": [dump(job) for job in jobs]}
        self._writer.write(_frame(frame))

    async def _forward_cancellations(self) -> None:
        async for job_id in self._worker.cancellations():
            self._writer.write(_frame({"call": "cancel", "job": job_id}))


class WorkerRpcClient:
    """A worker's side of the store, in the worker's process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = count(1)
        self._claims: dict[int, asyncio.Future[list[Job]]] = {}
        self._cancelled: asyncio.Queue[str | None] = asyncio.Queue()
        self._is_closed = False
        self._receiver = asyncio.create_task(self._receive())

    @classmethod
    async def connect(cls, path: Path, *, worker: str) -> "WorkerRpcClient":
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(_frame({"call": "hello", "worker": worker}))
        return cls(reader, writer)

    async def claim(self, **room: Unpack[Room]) -> list[Job]:
        if (models := room.get("models")) is not None:
            room["models"] = list(models)
        number = next(self._numbers)
        future: asyncio.Future[list[Job]] = asyncio.get_running_loop().create_future()
        self._claims[number] = future
        try:
            await self._send({"call": "claim", "number": number, "room": room})
            return await future
        except asyncio.CancelledError:
            try:
                if future.done() and not future.cancelled() and future.exception() is None:
                    # They arrived meanwhile.
                    await self.hand_back([job.id for job in future.result()])
                else:
                    await self._send({"call": "unclaim", "number": number})
            except LinkClosed:
                logger.debug("the store took back every claim when the link closed")
            raise
        finally:
            self._claims.pop(number, None)

    async def publish(self, job_id: str, event: Event) -> None:
        await self._send({"call": "publish", "job": job_id, "event": dump(event)})

    async def complete(
        self, job_id: str, result: dict[str, object], *, outcome: Outcome = JobState.DONE
    ) -> None:
        frame = {"call": "complete", "job": job_id, "result": result, "outcome": outcome}
        await self._send(frame)

    async def fail(self, job_id: str, *, code: str, detail: str) -> None:
        await self._send({"call": "fail", "job": job_id, "code": code, "detail": detail})

    async def hand_back(self, job_ids: Sequence[str]) -> None:
        await self._send({"call": "hand_back", "jobs": list(job_ids)})

    async def cancellations(self) -> AsyncIterator[str]:
        while (job_id := await self._cancelled.get()) is not None:
            yield job_id

    async def report(self, report: WorkerReport) -> None:
        await self._send({"call": "report", "report": dump(report)})

    async def close(self) -> None:
        self._receiver.cancel()
        self._end()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            logger.debug("the store was gone before the link was closed")

    async def _send(self, frame: Data) -> None:
        if self._is_closed:
            raise LinkClosed("the store is gone")
        try:
            self._writer.write(_frame(frame))
            await self._writer.drain()
        except ConnectionError as error:
            raise LinkClosed("the store is gone") from error

    async def _receive(self) -> None:
        try:
            while True:
                frame = await _read_frame(self._reader)
                if frame["call"] == "cancel":
                    self._cancelled.put_nowait(frame["job"])
                    continue
                found = [await self._read_job(data) for data in frame["jobs"]]
                jobs = [job for job in found if job is not None]
                future = self._claims.get(frame["number"])
                if future is None or future.done():
                    await self.hand_back([job.id for job in jobs])
                else:
                    future.set_result(jobs)
        except LinkClosed:
            logger.debug("the store is gone")
        except BROKEN:
            logger.exception("the link broke")
        finally:
            self._end()

    async def _read_job(self, frame: Data) -> Job | None:
        """Return a job, or refuse one of another version."""
        try:
            return load_job(frame)
        except JobUnreadable as error:
            logger.warning("job=%s refused: %s", frame["id"], error)
            await self.fail(frame["id"], code=error.code, detail=str(error))
            return None

    def _end(self) -> None:
        self._is_closed = True
        self._cancelled.put_nowait(None)
        for future in self._claims.values():
            if not future.done():
                future.set_exception(LinkClosed("the store is gone"))


def _frame(data: Data) -> bytes:
    payload = to_bytes(data)
    return LENGTH.pack(len(payload)) + payload


async def _read_frame(reader: asyncio.StreamReader) -> Data:
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        return from_bytes(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise LinkClosed("the other end is gone") from error
