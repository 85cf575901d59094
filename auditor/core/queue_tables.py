"""Queues in PostgreSQL that any number of processes may open at the same moment.

Kombu's own transport drops the trigger that announces messages and makes it anew whenever somebody opens a queue, to
send as well as to listen. Two at once can fail each other ("deadlock detected", "trigger already exists"), and a
worker that fails there ends. Here the first makes what is missing, and the others find it.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import pgmq

_READY = """
SELECT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = to_regclass('pgmq.' || quote_ident(pgmq.format_table_name(%(queue)s, 'q')))
    AND tgname = 'trigger_notify_queue_insert_listeners'
) AND EXISTS (
    SELECT FROM pgmq.notify_insert_throttle WHERE queue_name = %(queue)s AND throttle_interval_ms = %(throttle)s
)
"""
_LOCK = (
    "SELECT pg_advisory_xact_lock(hashtext('pgmq.queue_' || %(queue)s))"  # pgmq's own, of creating a queue
)


class Channel(pgmq.Channel):  # type: ignore[misc]  # Kombu has no types
    """Makes a queue and its trigger once, under a lock; only whoever consumes listens."""

    def _new_queue(self, queue: str, **_: Any) -> None:
        told = {"queue": self._queue_name(queue), "throttle": self.notify_throttle_interval_ms}
        with self.pgmq.pool.connection() as conn:
            if conn.execute(_READY, told).fetchone()[0]:
                return
            conn.execute(_LOCK, told)
            if conn.execute(_READY, told).fetchone()[0]:
                return
            self.pgmq.create_queue(told["queue"], conn=conn)
            self.pgmq.enable_notify(told["queue"], throttle_interval_ms=told["throttle"], conn=conn)

    def _maybe_enable_notify(self, queue: str, queue_name: str | None = None) -> None:
        self._new_queue(queue)
        self.connection._register_notify_queue(queue_name or self._queue_name(queue))


class Transport(pgmq.Transport):  # type: ignore[misc]  # likewise
    """Kombu's transport with these channels."""

    Channel = Channel
