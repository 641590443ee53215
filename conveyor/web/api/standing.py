"""How everything stands: status, queue, targets, pointers, mirrors, health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from conveyor import __version__
from conveyor.documents.mirrors import standing_as_json
from conveyor.documents.notices import notices_as_json
from conveyor.documents.pointers import standings_as_json
from conveyor.documents.queue import queue_as_json
from conveyor.documents.status import status_as_json
from conveyor.documents.why import why_as_json
from conveyor.pipeline.desk import Status
from conveyor.web.access.guard import Admin, Reader
from conveyor.web.api import models
from conveyor.web.api.answering import answer
from conveyor.web.api.parts import Desked, Limit, OfPackage, OfTarget, versioned
from conveyor.web.overview import Look, Looked
from conveyor.web.site import Here, Site
from conveyor.wiring import LocalDesk, unsigned_note

router = APIRouter(tags=["standing"])


@router.get("/server", response_model=models.Server, summary="Who answers")
def server(request: Request, _reader: Reader) -> Response:
    """The version of Conveyor, and of this API."""
    return answer(request, versioned(name="conveyor", version=__version__, api=1))


@router.get("/status", response_model=models.StatusDocument, summary="How everything stands")
def status(
    request: Request, site: Here, desk: Desked, look: Looked, _reader: Reader, package: OfPackage = None
) -> Response:
    """What `conveyor status --json` prints."""
    if package is not None:
        return answer(request, status_as_json(desk.status(package)))
    ready = {"builds": [cell.document for cell in look.cells.values()]}
    return answer(request, status_as_json(_all_but_builds(site, desk, look)), ready=ready)


def _all_but_builds(site: Site, desk: LocalDesk, look: Look) -> Status:
    builds = tuple(cell.newest for cell in look.cells.values())
    return Status(
        builds=(),
        flaky=look.flaky,
        copies=tuple(desk.copies(None, builds)),
        queue=look.queue,
        standings=look.standings,
        mirrors=desk.mirrors(),
        signed_by=site.settings.signing.key,
        unsigned=unsigned_note(site.settings.signing),
    )


@router.get("/queue", response_model=models.QueueDocument, summary="What runs, and what waits")
def queue(
    request: Request,
    desk: Desked,
    _reader: Reader,
    package: OfPackage = None,
    target: OfTarget = None,
    limit: Annotated[int, Query(ge=0, le=1000, description="How many of those that wait.")] = 50,
) -> Response:
    """What `conveyor queue --json` prints."""
    return answer(request, queue_as_json(desk.queue(package, target, limit)))


@router.get("/targets", response_model=models.Targets, summary="The targets")
def targets(request: Request, site: Here, look: Looked, _reader: Reader) -> Response:
    """Each with how many of its packages stand how, and how many builds wait."""
    built = Counter(target for package in site.repos.packages.values() for target in package.targets)
    found = [
        {
            "name": target.name,
            "format": target.format,
            "architecture": target.architecture,
            "builder": target.builder,
            "packages": built[target.name],
            "counts": dict(look.counts[target.name]),
            "waiting": look.waiting.get(target.name, 0),
        }
        for target in site.repos.targets.values()
    ]
    return answer(request, versioned(targets=found))


@router.get("/pointers", response_model=models.Pointers, summary="Where pointers stand", tags=["pointers"])
def pointers(request: Request, look: Looked, _reader: Reader, target: OfTarget = None) -> Response:
    """And what holds them back."""
    chosen = [each for each in look.standings if target in {None, each.target}]
    return answer(request, versioned(standings=standings_as_json(chosen)))


@router.get("/promotions", response_model=models.Promotions, summary="The promotions", tags=["pointers"])
def promotions(request: Request, site: Here, _reader: Reader) -> Response:
    """What each needs; none where repos.yaml has none: then every name goes, and nothing is needed."""
    found = [
        {
            "name": policy.name,
            "targets": list(policy.targets),
            "together": policy.together,
            "votes": list(policy.votes),
            "min_age": policy.min_age,
            "succeeded_on": list(policy.succeeded_on),
            "automatic": policy.automatic,
        }
        for policy in site.repos.promotions.values()
    ]
    return answer(request, versioned(promotions=found))


@router.get("/mirrors", response_model=models.Mirrors, summary="How mirrors stand")
def mirrors(request: Request, desk: Desked, _reader: Reader) -> Response:
    """For each mirror and each target that something was published for."""
    return answer(request, versioned(mirrors=[standing_as_json(each) for each in desk.mirrors()]))


@router.get("/why", response_model=models.WhyAnswer, summary="Why something is as it is")
def why(
    request: Request,
    desk: Desked,
    _reader: Reader,
    name: Annotated[
        str,
        Query(
            min_length=1,
            max_length=200,
            description="The beginning of a commit's sha, a package, a target, a pointer (of one target: "
            "TARGET/POINTER), or a build's number; where a name is ambiguous, with its kind before it: package:NAME.",
        ),
    ],
    package: OfPackage = None,
) -> Response:
    """What `conveyor why --json` prints."""
    return answer(request, versioned(why=why_as_json(desk.why(name, package))))


@router.get("/notices", response_model=models.Notices, summary="What is still to be told")
def notices(request: Request, desk: Desked, _admin: Admin, limit: Limit = 20) -> Response:
    """And what was not told in the end. It holds addresses."""
    return answer(request, notices_as_json(*desk.notices(limit)))


@router.get("/health", response_model=models.Health, summary="Whether all is well")
def health(request: Request, site: Here, desk: Desked, look: Looked, _reader: Reader) -> Response:
    """What the server can see: the configuration, the daemon, repositories, mirrors. The status is 200 either way."""
    findings = list(_findings(site, desk, look))
    return answer(request, versioned(good=all(each["good"] for each in findings), findings=findings))


def _findings(site: Site, desk: LocalDesk, look: Look) -> Iterator[dict[str, Any]]:
    mistake = site.mistake
    yield _finding("configuration", mistake.summary if mistake else "", "the newest is in use")
    yield _finding("daemon", "" if look.queue.daemon.runs else "no daemon runs: nothing starts by itself", "it runs")
    silent = sum(1 for remote in site.conveyor.watch.remotes().values() if remote.failures)
    yield _finding("repositories", f"{silent} do not answer" if silent else "", "all answered when polled last")
    failing = [each.state.mirror for each in desk.mirrors() if each.state.failures]
    yield _finding("mirrors", f"not copied to: {', '.join(sorted({*failing}))}" if failing else "", "none fails")
    note = unsigned_note(site.settings.signing) if not site.settings.signing.unsigned else ""
    yield _finding("signing", note, "as the settings say")


def _finding(subject: str, wrong: str, right: str) -> dict[str, Any]:
    return {"subject": subject, "good": not wrong, "detail": wrong or right}
