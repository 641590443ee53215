"""A log that grows or shrinks between two looks at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conveyor.web.live.following import Tail
from conveyor.web.live.reading import Logs


def told(sent: bytes) -> tuple[str, list[str]]:
    """Kind and lines of an event."""
    fields = dict(line.split(": ", 1) for line in sent.decode().splitlines() if line)
    return fields["event"], [line["text"] for line in json.loads(fields["data"]).get("lines", ())]


async def heard(events: AsyncIterator[bytes]) -> list[tuple[str, list[str]]]:
    """What is sent at once."""
    found: list[tuple[str, list[str]]] = []
    try:
        while len(found) < 5:
            found.append(told(await asyncio.wait_for(anext(events), 0.5)))
    except TimeoutError:
        pass
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def following(log: Path) -> Tail:
    """Somebody follows it, and it was looked at once."""
    tail = Tail(log, Logs(), lambda _quiet: "")
    tail.look()
    return tail


def test_what_was_written_since_the_look_is_sent_once(log: Path) -> None:
    log.write_text("one\n")

    async def scene() -> list[tuple[str, list[str]]]:
        tail = following(log)
        with log.open("a") as more:
            more.write("two\n")
        return await heard(tail.events(0))

    assert asyncio.run(scene()) == [("lines", ["one", "two"])]


def test_what_was_cut_off_since_it_was_read_is_told_and_sent_anew(log: Path) -> None:
    log.write_text("one\n")

    async def scene() -> list[tuple[str, list[str]]]:
        tail = following(log)
        with log.open("a") as more:
            more.write("two\n")
        events = tail.events(0)
        begun = told(await anext(events))
        log.write_text("one\n")
        tail.look()
        return [begun, *await heard(events)]

    assert asyncio.run(scene()) == [("lines", ["one", "two"]), ("replaced", []), ("lines", ["one"])]
