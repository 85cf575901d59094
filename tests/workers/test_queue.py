"""The embedded queue: who opens it at the same moment, and what wakes whoever listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from kombu import Connection, Consumer, Queue
from pgmq import PGMQueue

from auditor.core.queue import celery
from workers import tasks

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 6


@pytest.fixture
def connect() -> Callable[[str], Connection]:
    """Opens the test database's queues that begin with a prefix, as workers open theirs."""
    db = connection.settings_dict
    url = f"postgresql://{db['USER']}:{db['PASSWORD']}@{db['HOST']}:{db['PORT']}/{db['NAME']}"

    def opened(prefix: str) -> Connection:
        return celery.connection_for_write(
            transport_options={"conn_string": url, "queue_name_prefix": prefix, "pool_size": 1}
        )

    return opened


def test_workers_and_senders_that_open_a_queue_at_the_same_moment_all_can(
    connect: Callable[[str], Connection],
) -> None:
    together = threading.Barrier(AT_ONCE, timeout=60)

    def open_it(prefix: str) -> None:
        with connect(prefix) as opened:
            opened.ensure_connection()
            together.wait()
            Consumer(opened, [Queue("work", routing_key="work")]).consume()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for turn in range(5):
            for done in [threads.submit(open_it, f"at_once_{turn}_") for _ in range(AT_ONCE)]:
                done.result()


def test_a_message_wakes_the_worker_that_listens(connect: Callable[[str], Connection]) -> None:
    got: list[Any] = []
    queue = Queue("work", routing_key="work")
    with connect("listening_") as listener, connect("listening_") as sender:
        consumer = Consumer(listener, [queue], callbacks=[lambda body, _: got.append(body)])
        consumer.consume()
        later = threading.Timer(
            0.5, lambda: sender.Producer().publish("wake", routing_key="work", declare=[queue])
        )
        later.start()
        begun = time.monotonic()
        listener.drain_events(timeout=60)
        later.join()
    assert got == ["wake"]
    assert time.monotonic() - begun < celery.conf.broker_transport_options["polling_interval"]


def throttles(queue: str) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT throttle_interval_ms FROM pgmq.notify_insert_throttle WHERE queue_name = %s", [queue]
        )
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize(
    "spoilt",
    [
        "SELECT pgmq.enable_notify_insert('older_work', 250)",  # as an earlier version of the service made it
        "SELECT pgmq.disable_notify_insert('older_work')",
        "TRUNCATE pgmq.notify_insert_throttle",  # what a crash of the database does to an unlogged table
    ],
)
def test_a_queue_that_announces_otherwise_or_no_more_is_mended_by_the_next_to_open_it(
    connect: Callable[[str], Connection], spoilt: str
) -> None:
    queue = Queue("work", routing_key="work")
    with connect("older_") as before:
        before.Producer().publish("kept", routing_key="work", declare=[queue])
    with connection.cursor() as cursor:
        cursor.execute(spoilt)
    got: list[Any] = []
    with connect("older_") as listener:
        Consumer(listener, [queue], callbacks=[lambda body, _: got.append(body)]).consume()
        listener.drain_events(timeout=60)
    assert got == ["kept"]
    assert throttles("older_work") == [0]


def test_a_failure_between_queue_and_trigger_leaves_neither_and_the_next_makes_both(
    connect: Callable[[str], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*ignored: Any, **more: Any) -> None:
        raise RuntimeError("killed here")

    queue = Queue("work", routing_key="work")
    with connect("half_") as opened, monkeypatch.context() as broken:
        broken.setattr(PGMQueue, "enable_notify", fail)
        with pytest.raises(RuntimeError, match="killed here"):
            Consumer(opened, [queue])
        broken.undo()
        # the same connection is usable, of a pool that has one alone, and no lock is left
        with connect("half_") as other:
            Consumer(other, [queue])
        Consumer(opened, [queue])
    assert throttles("half_work") == [0]


def test_of_two_housekeepers_one_works_and_the_other_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a clock of its own, in memory, so that both are due at any moment."""
    begun, go_on, reaped = threading.Event(), threading.Event(), []

    def reap() -> list[str]:
        reaped.append(threading.current_thread().name)
        begun.set()
        assert go_on.wait(60)
        return []

    def first() -> None:
        try:
            tasks.housekeep()
        finally:
            connection.close()  # of this thread

    monkeypatch.setattr(tasks.leases, "reap", reap)
    one = threading.Thread(target=first, name="first")
    one.start()
    assert begun.wait(60)
    tasks.housekeep()
    go_on.set()
    one.join()
    assert reaped == ["first"]
    tasks.housekeep()  # and the lock is free again
    assert len(reaped) == 2
