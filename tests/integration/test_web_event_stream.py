"""Many that listen to events at once: the real server as a process."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from conveyor.model.event import EventKind, NewEvent
from tests.support.webprocess import WebProcess, web_process

pytestmark = pytest.mark.integration

PATIENCE = 60
LISTENERS = 200
ROUNDS, AT_ONCE = 20, 20


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("stream")
    with web_process(folder) as made:
        yield made
    shutil.rmtree(folder)


@dataclass(slots=True)
class Listener:
    """One that listens over a connection of its own.

    Attributes:
        listens: whether it has been let in.
        heard: the summaries of the events that it got.
    """

    web: WebProcess
    listens: bool = False
    heard: list[str] = field(default_factory=list)

    async def listen(self, until: str) -> None:
        """Listen until an event says this."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.web.port)
        try:
            writer.write(b"GET /api/v1/events/stream HTTP/1.0\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"retry: 2000\n\n")
            self.listens = True
            while until not in self.heard:
                name, _, value = (await reader.readline()).decode().partition(": ")
                if name == "data":
                    self.heard.append(json.loads(value)["summary"])
        finally:
            writer.close()


def tell(web: WebProcess, *summaries: str) -> None:
    told = [
        NewEvent(kind=EventKind.QUEUED, summary=each, package="nova", detail={"x": "y" * 500}) for each in summaries
    ]
    web.books.events.record(told, datetime.now(UTC))


def test_two_hundred_listen_to_events_and_cost_little(web: WebProcess) -> None:
    listeners = [Listener(web) for _ in range(LISTENERS)]
    told = [[f"event {each} of {some}" for each in range(AT_ONCE)] for some in range(ROUNDS)]

    async def scene() -> tuple[int, int]:
        async with asyncio.timeout(PATIENCE):
            listening = [asyncio.create_task(each.listen("the end")) for each in listeners]
            while not all(each.listens for each in listeners):
                await asyncio.sleep(0.05)
            tell(web, *told[0])
            while not all(len(each.heard) == AT_ONCE for each in listeners):
                await asyncio.sleep(0.05)
            before = web.memory()
            for some in told[1:]:
                tell(web, *some)
                await asyncio.sleep(0.1)
            tell(web, "the end")
            await asyncio.gather(*listening)
            return before, web.memory()

    began = web.cpu()
    before, after = asyncio.run(scene())
    cost = (
        f"{LISTENERS} readers: {before >> 20} MiB, then {after >> 20} MiB, {web.cpu() - began:.1f} s of processor time"
    )
    expected = [*(each for some in told for each in some), "the end"]
    assert all(each.heard == expected for each in listeners)
    assert after - before < 32 * 2**20, cost
