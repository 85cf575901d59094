"""The sandbox's end of the socket to the supervisor's broker: frames out, replies in any order by their number."""

from __future__ import annotations

import asyncio
import os
import socket

from evaluations.engine.transport import (
    BROKER_FD,
    Ask,
    Reply,
    decode_reply,
    encode,
    frame_length,
)
from evaluations.spec import EvaluationError

GONE = "The broker of this run has ended. Start the run again."


class PipeTransport:
    """Speaks over a connected stream socket. Made inside the event loop that uses it."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._writer: asyncio.StreamWriter | None = None
        self._opening = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._ended = False

    async def send(self, ask: Ask) -> Reply:
        frame = encode(ask)
        writer = await self._open()
        if self._ended:
            return Reply(id=ask.id, refusal="endpoint_unreachable", message=GONE)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[ask.id] = future
        try:
            writer.write(frame)
            await writer.drain()
            return await future
        except ConnectionError:
            return Reply(id=ask.id, refusal="endpoint_unreachable", message=GONE)
        finally:
            self._waiting.pop(ask.id, None)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        self._socket.close()

    async def _open(self) -> asyncio.StreamWriter:
        async with self._opening:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(sock=self._socket)
                self._listening = asyncio.create_task(self._listen(reader))
            return self._writer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                length = frame_length(await reader.readexactly(4))
                reply = decode_reply(await reader.readexactly(length))
                future = self._waiting.get(reply.id)
                if future is not None and not future.done():  # else nobody waits for it any more
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # it has ended, or speaks something else: nothing more can be believed
        finally:
            self._ended = True
            for number, future in self._waiting.items():
                if not future.done():
                    future.set_result(Reply(id=number, refusal="endpoint_unreachable", message=GONE))


def broker() -> PipeTransport:
    """The broker that this process was started with. Raises EvaluationError `no_broker` where the number is none."""
    try:
        return PipeTransport(socket.socket(fileno=int(os.environ[BROKER_FD])))
    except (KeyError, ValueError, OSError) as error:
        raise EvaluationError(
            "no_broker", f"{BROKER_FD} names no socket to a broker. Start the run again."
        ) from error
