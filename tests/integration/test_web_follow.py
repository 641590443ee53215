"""Logs that are followed while they are written: the real server as a process."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.logs import Logging
from tests.support.webprocess import WebProcess, web_process

pytestmark = pytest.mark.integration

PATIENCE = 60
READERS = 200


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("follow")
    with web_process(folder) as made:
        yield made
    shutil.rmtree(folder)


@pytest.fixture
def log(web: WebProcess, request: pytest.FixtureRequest) -> Logging:
    return Logging(web.books.store, web.data, request.node.name)


@dataclass(slots=True)
class Follower:
    """One that follows a log over a connection of its own.

    Attributes:
        lines: what it has of the log.
        kinds: the kinds of events that it got.
        last: the id of the last event that had one.
    """

    web: WebProcess
    log: Logging
    lines: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    last: str = ""
    partial: str = ""

    async def events(self) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        """Connect, and go on where it broke off."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.web.port, limit=2**22)
        try:
            resume = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
            # HTTP/1.0 knows no chunks: the events come as they are.
            writer.write(f"GET {self.log.url}/events HTTP/1.0\r\nHost: x\r\n{resume}\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            kind = ""
            while line := (await reader.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "id":
                    self.last = value
                elif name == "data":
                    self.kinds.append(kind)
                    yield kind, json.loads(value)
        finally:
            writer.close()

    async def follow(self, until: str) -> None:
        """Follow it until an event of this kind, or a line that says this."""
        async with asyncio.timeout(PATIENCE), aclosing(self.events()) as events:
            async for kind, data in events:
                if kind == "replaced":
                    self.lines.clear()
                elif kind == "lines":
                    self.lines += [line["text"] for line in data["lines"]]
                    self.partial = ""
                elif kind == "partial":
                    self.partial = data["lines"][0]["text"]
                if kind == until or until in self.lines or until == self.partial:
                    return


def test_lines_come_as_they_are_written_and_the_end_is_told(web: WebProcess, log: Logging) -> None:
    follower = Follower(web, log)

    async def scene() -> None:
        following = asyncio.create_task(follower.follow("end"))
        for number in range(5):
            log.write(f"line {number}\n")
            await asyncio.sleep(0.3)
        log.fail()
        await following

    asyncio.run(scene())
    assert follower.lines == [f"line {number}" for number in range(5)]
    assert follower.kinds[-1] == "end"
    assert follower.last == str(log.path.stat().st_size)


def test_a_broken_connection_goes_on_where_it_was(web: WebProcess, log: Logging) -> None:
    follower = Follower(web, log)
    log.write("one\ntwo\nthr")
    asyncio.run(follower.follow("two"))
    log.write("ee\n\xff\n".encode("latin-1"))
    asyncio.run(follower.follow("three"))
    log.write("four\n")
    asyncio.run(follower.follow("four"))
    assert follower.lines == ["one", "two", "three", "\ufffd", "four"]


def test_a_line_without_an_end_is_shown_and_then_replaced(web: WebProcess, log: Logging) -> None:
    follower = Follower(web, log)

    async def scene() -> None:
        log.write("begin\nworking...")
        await follower.follow("working...")
        log.write(" done\n")
        await follower.follow("working... done")

    asyncio.run(scene())
    assert follower.lines == ["begin", "working... done"]


def test_a_log_that_is_replaced_cut_off_or_removed_is_told(web: WebProcess, log: Logging) -> None:
    follower = Follower(web, log)

    async def scene() -> None:
        log.write("old\n" * 100)
        following = asyncio.create_task(follower.follow("gone"))
        await until(lambda: len(follower.lines) == 100)
        other = log.path.with_name("other")
        other.write_text("new\n" * 200)
        other.replace(log.path)
        await until(lambda: follower.lines == ["new"] * 200)
        log.path.write_text("cut\n")
        await until(lambda: follower.lines == ["cut"])
        log.path.unlink()
        await following

    asyncio.run(scene())
    assert follower.kinds.count("replaced") == 2


async def until(condition: Any) -> None:  # noqa: ANN401
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.05)


def test_two_hundred_follow_a_log_and_cost_little(web: WebProcess, log: Logging) -> None:
    followers = [Follower(web, log) for _ in range(READERS)]
    line = "x" * 100 + "\n"
    log.write(line * 2_000)

    async def scene() -> tuple[int, int]:
        following = [asyncio.create_task(each.follow("the end")) for each in followers]
        await until(lambda: all(len(each.lines) == 2_000 for each in followers))
        before = web.memory()
        for _ in range(20):
            log.write(line * 50)
            await asyncio.sleep(0.1)
        log.write("the end\n")
        await asyncio.gather(*following)
        return before, web.memory()

    began = web.cpu()
    before, after = asyncio.run(scene())
    told = f"{READERS} readers: {before >> 20} MiB, then {after >> 20} MiB, {web.cpu() - began:.1f} s of processor time"
    assert all(len(each.lines) == 3_001 for each in followers)
    assert after - before < 32 * 2**20, told


def test_who_reads_nothing_takes_no_memory(web: WebProcess, log: Logging) -> None:
    log.write(("y" * 200 + "\n") * 400_000)
    asleep = []
    before = web.memory()
    for _ in range(50):
        client = web.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(f"GET {log.url}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        asleep.append(client)
    time.sleep(3)
    grown = web.memory() - before
    awake = Follower(web, log)
    log.write("still served\n")
    awake.last = str(log.path.stat().st_size - len("still served\n"))
    asyncio.run(awake.follow("still served"))
    for client in asleep:
        client.close()
    assert grown < 64 * 2**20
