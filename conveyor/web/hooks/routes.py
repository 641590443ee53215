"""POST /hooks/<kind>: answered at once with what will happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from conveyor.errors import UnknownName
from conveyor.model.hooks import HookKind
from conveyor.model.text import plain
from conveyor.web.access.auditing import Noting
from conveyor.web.hooks.matching import meant_by
from conveyor.web.hooks.payloads import read_push
from conveyor.web.hooks.signatures import Signatures, read_secrets
from conveyor.web.problems import problem
from conveyor.web.site import Here, Site
from conveyor.wiring import make_controls

router = APIRouter(tags=["hooks"])

# Of a larger one nothing is lost but time: polls find what was pushed.
MOST_BYTES = 4 * 2**20
_ACCEPTED, _NOTHING, _TOO_LARGE = 202, 200, 413


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What becomes of a webhook.

    Attributes:
        packages: those that are polled.
        message: the same for people.
    """

    packages: tuple[str, ...]
    message: str


async def _signatures(request: Request) -> Signatures:
    return cast(Signatures, request.app.state.signatures)


Checking = Annotated[Signatures, Depends(_signatures)]


@router.post("/hooks/{kind}", response_model=None)
async def take(request: Request, kind: HookKind, site: Here, checking: Checking, note: Noting) -> Any:  # noqa: ANN401
    """Take a webhook of a forge. Its signature is what lets it in."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return problem(_TOO_LARGE, f"a webhook of more than {MOST_BYTES >> 20} MiB is not read")
    headers = {name.lower(): value for name, value in request.headers.items()}
    answer = await run_in_threadpool(_answer, site, kind, checking, headers, bytes(body))
    if answer.packages:
        note.actor, note.action = f"webhook of {kind}", "POST /hooks/{kind}"
        note.about(" ".join(answer.packages)[:500])
    document = {"accepted": list(answer.packages), "message": answer.message}
    return JSONResponse(document, _ACCEPTED if answer.packages else _NOTHING)


def _answer(site: Site, kind: HookKind, checking: Signatures, headers: dict[str, str], body: bytes) -> Answer:
    """See who sent it, and have polled what it is about.

    Raises:
        UnknownName: no such webhooks are taken here, or no package has the repository.
        HookRefused: nothing shows who sent it.
        UserError: it is no webhook.
    """
    path = site.settings.web.hooks.get(kind)
    if path is None:
        raise UnknownName(
            f"webhooks of {kind} are not taken here",
            hint=f"the operators of this site name a file with a secret: '{kind}' in [web.hooks] in conveyor.toml",
        )
    now = site.conveyor.clock.now()
    name = checking.check(kind, headers, body, read_secrets(path), now)
    if checking.is_taken(name):
        return Answer(packages=(), message="nothing to do: this message was taken before")
    answer = _act(site, kind, headers, body)
    checking.take(name, now)
    return answer


def _act(site: Site, kind: HookKind, headers: dict[str, str], body: bytes) -> Answer:
    """Have polled what a webhook is about."""
    push = read_push(kind, headers, body)
    if push.event:
        return Answer(packages=(), message=f"nothing to do: {plain(push.event)} is no push")
    meant = meant_by(push, site.repos.packages)
    if meant.packages:
        controls = make_controls(site.settings, site.repos, site.conveyor.records)
        controls.poll(meant.packages, f"webhook of {kind}")
        waits = "" if controls.daemon().runs else " (no daemon runs: as soon as one does)"
        return Answer(packages=meant.packages, message=f"accepted: poll of {', '.join(meant.packages)}{waits}")
    if meant.others:
        return Answer(packages=(), message=f"nothing to do: {plain('; '.join(meant.others))}")
    told = plain(push.urls[0]) if push.urls else "that the webhook does not name"
    raise UnknownName(f"no package has the repository {told}", hint="repos.yaml names the repositories of packages")
