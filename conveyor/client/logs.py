"""Logs of a server's builds."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator, Mapping
from typing import Any

from conveyor.client.connection import PREFIX, Connection, open_connection
from conveyor.errors import UnknownName
from conveyor.model.build import State

FOLLOW_SECONDS = 1.0


def read_log(server: str, token: str | None, named: str, *, follow: bool) -> Iterator[str]:
    """The log of a build's last attempt, in pieces that end with a line or with the log.

    Args:
        server: its URL.
        token: shows it who asks; None for nobody.
        named: a build's number, or a package's name for its latest build.
        follow: goes on while the build runs.

    Raises:
        UnknownName: there is no such build or package, or no log of it (any more).
        NetworkError: the server cannot be reached.
    """
    with open_connection(server, token) as connection:
        build = _find(connection, named)
        if build["log"] is None:
            raise UnknownName(f"build {build['build']['id']} has no log yet", hint="it has not been started")
        yield from _pieces(connection, build["build"], build["log"]["url"].removeprefix(PREFIX), follow=follow)


def _find(connection: Connection, named: str) -> Mapping[str, Any]:
    if named.isascii() and named.isdigit():
        return connection.get(f"/builds/{named}")
    found = connection.get("/builds", package=named, limit=1)["builds"]
    if not found:
        raise UnknownName(f"{named} has not been built yet", hint="'conveyor --server URL status' shows what was")
    return connection.get(f"/builds/{found[0]['id']}")


def _pieces(connection: Connection, build: Mapping[str, Any], path: str, *, follow: bool) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    offset, rest = 0, ""
    while True:
        runs = follow and _runs(connection, build)
        for content in connection.content(path, offset):
            offset += len(content)
            lines, end, rest = (rest + decoder.decode(content)).rpartition("\n")
            if end:
                yield lines + end
        if not runs:
            break
        time.sleep(FOLLOW_SECONDS)
    yield rest + decoder.decode(b"", final=True)


def _runs(connection: Connection, build: Mapping[str, Any]) -> bool:
    now = connection.get(f"/builds/{build['id']}")["build"]
    return bool(now["state"] == State.RUNNING and now["attempt"] == build["attempt"])
