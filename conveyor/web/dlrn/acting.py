"""What DLRN's API does: votes, promotions and rechecks, as the commands do them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Response

from conveyor.errors import PromotionRefused, UnknownName
from conveyor.model.access import Principal
from conveyor.model.build import Outcome, State
from conveyor.model.promotion import LedgerEntry, PromotionPolicy, Vote
from conveyor.pipeline.pointing.promote import Asked, check_name
from conveyor.pipeline.pointing.voting import Ballot
from conveyor.web.access.auditing import Noting
from conveyor.web.access.guard import Operator, Promoter, Voter
from conveyor.web.dlrn import documents
from conveyor.web.dlrn.aggregates import Aggregates, Known
from conveyor.web.dlrn.answers import Refused, reply
from conveyor.web.dlrn.asked import Hashes, Import, Parameters, Promote, Recheck, Result, UseTested
from conveyor.web.dlrn.place import Found, Place, Repo, There, told
from conveyor.web.dlrn.tested import last_tested
from conveyor.wiring import make_controls, make_voting

NOTE = "through DLRN's API"
# How many commits of a batch the audit log has, and how many characters of each.
NOTED, NOTED_LENGTH = 50, 200

router = APIRouter()


@router.post("/api/last_tested_repo")
def use_last_tested_repo(who: Voter, place: There, given: Parameters, noting: Noting) -> Response:
    """The repository that a test should take, and a vote that says that it runs on it."""
    asked = given.as_(UseTested)
    found = last_tested(place, asked)
    repo = place.repo(found.subject)
    noting.about(repo.commit, target=place.target, job=asked.reporting_job_id)
    ballot = Ballot(commit=repo.commit, target=place.target, job=asked.reporting_job_id, success=None, user=who.name)
    return reply(documents.tested(repo, _cast(place, ballot)), HTTPStatus.CREATED)


@router.post("/api/report_result")
def report_result(who: Voter, place: There, given: Parameters, aggregates: Known, noting: Noting) -> Response:
    """A vote on a commit, or on an aggregated repository file."""
    asked = given.as_(Result)
    repo = _voted_on(place, asked)
    if repo is None and aggregates.commit(place, asked.aggregate_hash or "") is None:
        raise Refused(HTTPStatus.BAD_REQUEST, f"aggregate_hash not found for {place.target}")
    subject = repo.commit if repo is not None else asked.aggregate_hash or ""
    noting.about(subject, target=place.target, job=asked.job_id, success=asked.success)
    vote = _cast(
        place,
        Ballot(
            commit=subject,
            target=place.target,
            job=asked.job_id,
            success=asked.success,
            url=asked.url,
            notes=asked.notes,
            user=who.name,
            at=datetime.fromtimestamp(asked.timestamp, UTC),
        ),
    )
    nothing = dict.fromkeys(("commit_hash", "distro_hash", "extended_hash", "aggregate_hash", "component"))
    voted = documents.vote_on_aggregate(vote) if repo is None else documents.vote_on_repo(repo, vote)
    return reply({**nothing, **voted}, HTTPStatus.CREATED)


@router.post("/api/promote")
def promote(who: Promoter, place: There, given: Parameters, aggregates: Known, noting: Noting) -> Response:
    """Move a promotion to a commit's repository, if it has all that repos.yaml asks for."""
    forms = [given.as_(Promote)]
    _note(noting, place, forms)
    return _promoted(place, who, forms, aggregates)


@router.post("/api/promote-batch")
def promote_batch(who: Promoter, place: There, given: Parameters, aggregates: Known, noting: Noting) -> Response:
    """Do several promotions, all of them or none.

    Of several commits for one name, the repository is that of the one published last, which has to hold the others.
    """
    forms = given.batch()
    _note(noting, place, forms)
    return _promoted(place, who, forms, aggregates)


@router.post("/api/remote/import")
def import_remote(_who: Operator, given: Parameters) -> Response:
    """Refused: what was built elsewhere cannot be vouched for here."""
    asked = given.as_(Import)
    parts = urlsplit(asked.repo_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Refused(HTTPStatus.BAD_REQUEST, "Invalid parameters: repo_url: it begins with https:// or http://")
    raise Refused(
        HTTPStatus.NOT_IMPLEMENTED,
        "Conveyor publishes only what it has built itself, so it imports nothing: have the package in repos.yaml,"
        " and build the same commit here with 'conveyor build PACKAGE --commit SHA'",
    )


@router.post("/api/recheck_package")
def recheck_package(who: Operator, place: There, given: Parameters, noting: Noting) -> Response:
    """Try the latest build of a package again, if it did not succeed."""
    package = given.as_(Recheck).package_name
    noting.about(package, target=place.target)
    site = place.site
    latest = site.conveyor.store.builds(package=package, target=place.target, trunk=True, limit=1)
    where = f"{package} for {place.target}"
    if not latest:
        raise Refused(HTTPStatus.BAD_REQUEST, f"Error while rechecking {package}: there is no build of {where}")
    build = latest[0]
    if build.state is not State.FINISHED:
        told_ = f"Error while rechecking {package}: build {build.id} of {where} is {build.state} already"
        raise Refused(HTTPStatus.BAD_REQUEST, told_)
    if build.outcome is Outcome.SUCCEEDED:
        told_ = f"Error while rechecking {package}: build {build.id} of {where} succeeded, and is not tried again"
        raise Refused(HTTPStatus.CONFLICT, told_)
    controls = make_controls(site.settings, site.repos, site.conveyor.records)
    controls.retry(str(build.id), place.target, who.name)
    return reply({"result": "ok"}, HTTPStatus.CREATED)


def _voted_on(place: Place, asked: Result) -> Repo | None:
    """The commit that is voted on; None for an aggregate."""
    hashes = (asked.commit_hash, asked.distro_hash)
    if asked.aggregate_hash and any(hashes):
        raise Refused(HTTPStatus.BAD_REQUEST, "aggregate_hash cannot be combined with commit_hash and distro_hash")
    if asked.aggregate_hash:
        return None
    if not (asked.commit_hash and asked.distro_hash):
        raise Refused(HTTPStatus.BAD_REQUEST, "either commit_hash and distro_hash, or aggregate_hash must be given")
    return place.find(
        Hashes(commit_hash=asked.commit_hash, distro_hash=asked.distro_hash, extended_hash=asked.extended_hash)
    ).repo


def _cast(place: Place, ballot: Ballot) -> Vote:
    """Take a vote, and move what moves by itself and waited for it."""
    conveyor = place.site.conveyor
    vote = make_voting(conveyor, place.site.repos).cast(ballot)
    conveyor.promoter.follow()  # what keeps one from moving is told where its standing is
    return vote


def _promoted(place: Place, who: Principal, forms: Sequence[Promote], aggregates: Aggregates) -> Response:
    policies = {form.promote_name: _policy(place, form) for form in forms}
    found: dict[str, list[Found]] = {name: [] for name in policies}
    for form in forms:
        found[form.promote_name].append(_there(place, form))
    asked = [
        Asked(
            commit=_holding_all(place, name, found[name]),
            policy=policy,
            targets=() if policy.together else (place.target,),
            actor=who.name,
            note=NOTE,
        )
        for name, policy in policies.items()
    ]
    moved = place.site.conveyor.promoter.promote_all(asked)
    entry = _entry(place, forms[-1].promote_name, moved)
    return reply(documents.promotion(place, entry, aggregates.of(place, entry.step.after)), HTTPStatus.CREATED)


def _note(noting: Noting, place: Place, forms: Sequence[Promote]) -> None:
    """Have the audit log tell what is promoted."""
    names = ", ".join(dict.fromkeys(form.promote_name for form in forms))
    noting.about(names, target=place.target, commits=[told(form)[:NOTED_LENGTH] for form in forms[:NOTED]])


def _entry(place: Place, name: str, moved: Sequence[LedgerEntry]) -> LedgerEntry:
    """What the ledger has of a promotion; where it was there already, of how it came there."""
    here = (place.target, name)
    found = next((each for each in moved if (each.step.target, each.step.pointer) == here), None)
    return found or place.site.conveyor.ledger.promotions(place.target, pointer=name, limit=1)[0]


def _policy(place: Place, form: Promote) -> PromotionPolicy:
    """What a promotion of a name needs."""
    try:
        check_name(form.promote_name)
        return place.site.repos.promotion(form.promote_name)
    except (PromotionRefused, UnknownName) as error:
        what = f"Invalid promote_name {form.promote_name} for hash {told(form)}: {error.summary}"
        raise Refused(HTTPStatus.FORBIDDEN, what) from error


def _there(place: Place, form: Promote) -> Found:
    """A commit whose repository was published, and is there."""
    found = place.find(form)
    if found.snapshot.collected_at is not None:
        at = f"{found.snapshot.collected_at:%Y-%m-%d %H:%M} UTC"
        raise Refused(HTTPStatus.GONE, f"{found.repo.commit} has been purged, cannot promote it: it was removed {at}")
    return found


def _holding_all(place: Place, name: str, found: Sequence[Found]) -> str:
    """The id of the one of some commits whose repository has all of them."""
    newest = max(found, key=lambda each: (each.snapshot.published_at, each.snapshot.build)).snapshot
    others = {each.snapshot.commit: each.snapshot.package for each in found if each.snapshot.commit != newest.commit}
    if not others:
        return newest.commit
    manifest = place.site.conveyor.tree.manifest(place.target, newest.commit)
    holds = {each.package: each.commit for each in manifest.packages}
    lacking = [
        f"it has {package} at {holds.get(package)}, not at {commit}"
        for commit, package in others.items()
        if holds.get(package) != commit
    ]
    if lacking:
        what = f"{name} leads to one repository, and that of {newest.commit} does not hold all of these commits"
        raise Refused(HTTPStatus.CONFLICT, "; ".join([what, *lacking]))
    return newest.commit
