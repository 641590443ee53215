"""Every action is recorded here, whatever route carries it out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, cast

import anyio
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conveyor.errors import ConveyorError
from conveyor.model.access import Deed, Means, Principal, Result
from conveyor.web.access.addresses import address_of
from conveyor.web.routes import template_of
from conveyor.web.site import Sites

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST = 500
_STATE = "audit"
_LOG = logging.getLogger("conveyor.web")


@dataclass(slots=True)
class Note:
    """What is known so far of what a request does. The guard fills it, and routes may add to it.

    Attributes:
        actor: who acts; empty as long as nobody is known to, and then nothing is recorded.
        means: how it showed who it is.
        action: what it does.
        subject: to what.
        detail: more of it.
    """

    actor: str = ""
    means: Means = Means.NOBODY
    action: str = ""
    subject: str = ""
    detail: dict[str, object] = field(default_factory=dict)

    def about(self, subject: str, **detail: object) -> None:
        """Tell what it is done to, where the path does not, and more of it. Never a secret."""
        self.subject = subject
        self.detail |= detail

    def does(self, deed: Deed) -> None:
        """Tell what is done, in the words of what does it: so it is called the same on the command line."""
        self.action = deed.action
        self.about(deed.subject, **deed.detail)

    def acts(self, asking: Principal, action: str, subject: str = "") -> None:
        """Tell that somebody acts, where the guard does not: who signs in is known only then."""
        self.actor, self.means, self.action, self.subject = asking.name, asking.means, action, subject


def note_of(request: Request) -> Note:
    """The note of a request."""
    return cast(Note, getattr(request.state, _STATE))


async def _noting(request: Request) -> Note:
    return note_of(request)


# For routes that have more to tell.
Noting = Annotated[Note, Depends(_noting)]


def noted(request: Request, asking: Principal) -> None:
    """Note who asks for what; the guard does so before it refuses anything."""
    if request.method not in SAFE and asking.means is not Means.NOBODY:
        subject = "/".join(str(value) for value in request.path_params.values())
        note_of(request).acts(asking, f"{request.method} {template_of(request.scope) or request.url.path}", subject)


class Auditing:
    """Records what somebody did, once it is known what became of it and before the answer tells it.

    Args:
        app: what answers.
        sites: where the audit log is.
    """

    def __init__(self, app: ASGIApp, sites: Sites) -> None:
        self._app = app
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note = Note()
        scope.setdefault("state", {})[_STATE] = note
        recorded: bool | None = None

        async def sending(message: Message) -> None:
            nonlocal recorded
            if recorded is None:
                recorded = await self._record(scope, note, message["status"])
                if not recorded:
                    await _unrecorded()(scope, receive, send)
            if recorded:
                await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if recorded is None:  # a defect, or whoever asked went away
                with anyio.CancelScope(shield=True):
                    await self._record(scope, note, HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _record(self, scope: Scope, note: Note, status: int) -> bool:
        """Record it; False where it cannot be, and is in the log instead."""
        if not note.actor:
            return True
        site = self._sites.current()
        deed = Deed(
            at=site.conveyor.clock.now(),
            actor=note.actor[:LONGEST],
            means=note.means,
            address=address_of(HTTPConnection(scope), site.settings.web.trusted_proxies),
            action=note.action[:LONGEST],
            subject=note.subject[:LONGEST],
            result=_result(status),
            detail={"status": int(status), **note.detail},
        )
        try:
            await run_in_threadpool(site.conveyor.audit.record, deed)
        except ConveyorError:
            _LOG.exception("the audit log lacks what was done: %r", deed)
            return False
        return True


def _unrecorded() -> Response:
    title = "what was asked for is not in the audit log"
    detail = "the store cannot be written to; it may have been done all the same"
    document = {"type": "about:blank", "status": 500, "title": title, "detail": detail}
    return JSONResponse(document, HTTPStatus.INTERNAL_SERVER_ERROR, media_type="application/problem+json")


def _result(status: int) -> Result:
    if status < HTTPStatus.BAD_REQUEST:
        return Result.DONE
    return Result.REFUSED if status < HTTPStatus.INTERNAL_SERVER_ERROR else Result.FAILED


def note_error(request: Request, error: ConveyorError) -> None:
    """Tell why an action came to nothing."""
    state: Mapping[str, object] = request.scope.get("state", {})
    note = state.get(_STATE)
    if isinstance(note, Note):
        note.detail["error"] = error.summary[:LONGEST]
