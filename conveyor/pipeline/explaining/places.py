"""Why packages, commits, targets and pointers are as they are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from conveyor.model.build import Outcome
from conveyor.model.commit import SHORT_SHA_DIGITS
from conveyor.model.event import Event
from conveyor.model.order import Order
from conveyor.model.package import Package
from conveyor.model.promotion import LedgerEntry, PromotionPolicy, follows_builds
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import Pause
from conveyor.model.watch import Poke
from conveyor.model.why import Subject, Why
from conveyor.pipeline.explaining.orders import order_lines, orders_told
from conveyor.pipeline.explaining.polling import Followed, Sighting, never_built, obstacle, polling, silence, unbuilt
from conveyor.pipeline.explaining.words import (
    NO_DAEMON,
    START_DAEMON,
    count,
    listed,
    moment,
    moved_tag,
    paused,
    resume_command,
)
from conveyor.pipeline.holders import DaemonState
from conveyor.pipeline.pointing.standings import Standing

_NOT_BUILT = "not built"
_BAD = ("failed", "errored")
# How a build stands, the worst first.
_WORST = (
    "failed",
    "errored",
    _NOT_BUILT,
    "being cancelled",
    "running",
    "queued",
    "cancelled",
    "superseded",
    "succeeded",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """What is known of a package.

    Attributes:
        name: its name.
        package: what repos.yaml says of it; None where it is not there any more.
        followed: the git repositories that it follows.
        poke: who wants it polled; None for nobody.
        pauses: what holds its builds back.
        orders: orders of its builds that wait, the oldest first.
        moved_tags: tags of its upstream that moved or went lately.
        daemon: whether a daemon runs.
        builds: why its latest builds are as they are, one for each target.
        pointers: why it is not in `consistent`, for each target where it is not.
        now: the time.
    """

    name: str
    package: Package | None
    followed: tuple[Followed, ...]
    poke: Poke | None
    pauses: tuple[Pause, ...]
    orders: tuple[Order, ...] = ()
    moved_tags: tuple[Event, ...]
    daemon: bool
    builds: tuple[Why, ...]
    pointers: tuple[Why, ...]
    now: datetime


def explain_package(facts: PackageFacts) -> Why:
    """The answer for a package."""
    state, summary, hint = _package(facts)
    polls = polling(facts.followed, facts.poke, facts.now, daemon=facts.daemon) if facts.package else ()
    waiting = orders_told(facts.orders)
    return Why(
        subject=Subject.PACKAGE,
        name=facts.name,
        state=state,
        summary=f"{summary}; {waiting}" if waiting else summary,
        lines=(
            *(paused(pause, facts.now) for pause in facts.pauses),
            *order_lines(facts.orders, facts.followed, facts.now, daemon=facts.daemon),
            *polls,
            *(moved_tag(event, facts.now) for event in facts.moved_tags),
        ),
        hint=hint or (START_DAEMON if waiting and not facts.daemon else ""),
        because=(*facts.builds, *facts.pointers),
    )


def _package(facts: PackageFacts) -> tuple[str, str, str]:
    told = overall(facts.builds)
    if facts.package is None:
        gone = "repos.yaml does not have it, so it is neither polled nor built; what is published of it stays"
        return "not followed", gone, "add it to repos.yaml to have it built again"
    stops = obstacle(facts.followed)
    if facts.pauses:
        return "paused", f"its builds are held back; {told}", resume_command(facts.pauses[0])
    if stops and facts.daemon:
        return _unpolled(facts, stops, told)
    return worst(facts.builds), told, ""


def _unpolled(facts: PackageFacts, stops: str, told: str) -> tuple[str, str, str]:
    """The answer for a package that is not polled; that a build failed is worse."""
    poll = f"conveyor poll {facts.name}"
    hint = poll if all(each.is_new for each in facts.followed) else f"once it is mended: {poll}"
    state = worst(facts.builds)
    if state in _BAD:
        return state, f"{told}; {stops}", hint
    return "not polled", told if stops in told else f"{stops}; {told}", hint


def not_built(package: Package, target: str, followed: Sequence[Followed], *, daemon: bool) -> Why:
    """The answer for a package that has no build for a target."""
    summary, hint = never_built(target, package, followed, daemon=daemon)
    return Why(
        subject=Subject.PACKAGE,
        name=package.name,
        about=f"{package.name} for {target}",
        state=_NOT_BUILT,
        summary=summary,
        hint=hint,
    )


def worst(builds: Sequence[Why]) -> str:
    """How several builds stand, together: as the worst."""
    states = {build.state for build in builds}
    return next((state for state in _WORST if state in states), _NOT_BUILT)


def overall(builds: Sequence[Why]) -> str:
    """How many builds stand how, in a line."""
    if not builds:
        return "nothing was ever built"
    counted = {state: sum(build.state == state for build in builds) for state in _WORST}
    if len(builds) == 1:
        return _only(builds[0])
    told = [f"{count} {state}" for state, count in counted.items() if count]
    return f"of its latest builds on {len(builds)} targets, {listed(told, most=len(told))}"


def _only(build: Why) -> str:
    """How the only build stands, and why."""
    if build.state == _NOT_BUILT:
        return build.summary
    verb = build.state if build.state in [*Outcome] else f"is {build.state}"
    return f"its latest build {verb}: {build.summary}"


def explain_commit(name: str, about: str, builds: Sequence[Why], unbuilt_for: Sequence[Why]) -> Why:
    """The answer for a commit that has builds.

    Args:
        name: its id.
        about: what it is.
        builds: why its builds are as they are.
        unbuilt_for: why it has none, for each target of its package where it has none.
    """
    everything = (*builds, *unbuilt_for)
    told = [f"{each.about.rpartition(' for ')[2]}: {each.state}" for each in everything]
    return Why(
        subject=Subject.COMMIT,
        name=name,
        about=about,
        state=worst(everything),
        summary=listed(told, most=len(told)),
        because=everything,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingFacts:
    """What is known of a commit that has no build.

    Attributes:
        named: what was asked for.
        sightings: where packages have it: those that do, or the one that was named.
        followed: the repositories of these packages, by the package's name.
        silent: repositories of any package that do not answer, where no package has it.
        looked: in how many packages it was looked for.
        packages: how many packages there are.
        daemon: whether a daemon runs.
        pokes: polls that were asked for, by the package's name.
        now: the time.
    """

    named: str
    sightings: tuple[Sighting, ...]
    followed: dict[str, tuple[Followed, ...]]
    silent: tuple[Followed, ...]
    looked: int
    packages: int
    daemon: bool
    pokes: dict[str, Poke]
    now: datetime


def explain_missing(facts: MissingFacts) -> Why:
    """The answer for a commit that has no build at all."""
    if len(facts.sightings) == 1:
        return _sighted(facts, facts.sightings[0])
    because = tuple(_sighted(facts, each) for each in facts.sightings)
    if because:
        names = listed([each.package.name for each in facts.sightings])
        return _missing(facts, f"it was never built; {names} have it", (), because)
    return _missing(facts, "no build has such a commit", tuple(_searched(facts)), ())


def _missing(facts: MissingFacts, summary: str, lines: tuple[str, ...], because: tuple[Why, ...]) -> Why:
    return Why(
        subject=Subject.COMMIT,
        name=facts.named,
        state=_NOT_BUILT,
        summary=summary,
        lines=lines,
        hint="" if because else f"name its package to learn more: conveyor why {facts.named} --package PACKAGE",
        because=because,
    )


def _sighted(facts: MissingFacts, sighting: Sighting) -> Why:
    summary, hint = unbuilt(sighting)
    name = sighting.package.name
    lines = polling(facts.followed.get(name, ()), facts.pokes.get(name), facts.now, daemon=facts.daemon)
    return Why(
        subject=Subject.COMMIT,
        name=sighting.sha,
        about=f"of {name}" if sighting.is_found else f"looked for in {name}",
        state=_NOT_BUILT,
        summary=summary,
        lines=tuple(lines),
        hint=hint,
    )


def _searched(facts: MissingFacts) -> Iterator[str]:
    if facts.looked < facts.packages:
        yield f"it was not looked for in what was fetched: {facts.packages} packages are too many to search them all"
    else:
        yield f"it is not in what was fetched of the {facts.packages} packages either"
    for each in facts.silent:
        yield f"{silence(each, facts.now)}, and may have it"
    if not facts.daemon:
        yield f"{NO_DAEMON}: nothing is polled"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """What is known of a target.

    Attributes:
        name: its name.
        packages: how many packages are built for it.
        pauses: what holds its builds back.
        daemon: the daemon.
        disk: the event of a disk that is low, where that is so still; None otherwise.
        stale: what the daemon says that stands still, still.
        waiting: how many builds wait for it.
        running: builds that run for it, and why they are as they are.
        first: why the build that would start next has not started; None where none waits.
        polled_at: when a repository of its packages was last polled; None for never.
        published: what was last published for it; None for nothing.
        pointers: why its pointers stand where they do, those that are held back.
        now: the time.
    """

    name: str
    packages: int
    pauses: tuple[Pause, ...]
    daemon: DaemonState
    disk: Event | None
    stale: tuple[Event, ...]
    waiting: int
    running: tuple[Why, ...]
    first: Why | None
    polled_at: datetime | None
    published: PublishedSnapshot | None
    pointers: tuple[Why, ...]
    now: datetime


def explain_target(facts: TargetFacts) -> Why:
    """The answer for a target."""
    state, summary, hint = _target(facts)
    first = () if facts.first is None else (facts.first,)
    return Why(
        subject=Subject.TARGET,
        name=facts.name,
        state=state,
        summary=summary,
        lines=tuple(_target_lines(facts)),
        hint=hint,
        because=(*facts.running, *first, *facts.pointers),
    )


def _target(facts: TargetFacts) -> tuple[str, str, str]:
    if not facts.packages:
        return "unused", "no package of repos.yaml is built for it", "add it to the 'targets' of a package"
    return _stopped(facts) or _working(facts)


def _stopped(facts: TargetFacts) -> tuple[str, str, str] | None:
    """What keeps builds from being started at all."""
    if facts.pauses:
        return "paused", f"{paused(facts.pauses[0], facts.now)}; {_work(facts)}", resume_command(facts.pauses[0])
    if not facts.daemon.runs:
        return ("works" if facts.running else "stands still"), f"{NO_DAEMON}; {_work(facts)}", START_DAEMON
    if facts.disk is not None:
        hint = "make room: conveyor collect, conveyor buildroot prune"
        return "stands still", f"the disk is low, so no build is started; {_work(facts)}", hint
    return None


def _working(facts: TargetFacts) -> tuple[str, str, str]:
    if facts.running:
        return "works", _work(facts), ""
    if facts.first is not None:
        return "waits", f"{_work(facts)}; the next one: {facts.first.summary}", facts.first.hint
    return "idle", "nothing waits: everything that was seen has ended", ""


def _work(facts: TargetFacts) -> str:
    return f"{count(len(facts.running), 'build')} running, {facts.waiting} waiting"


def _target_lines(facts: TargetFacts) -> Iterator[str]:
    yield daemon_words(facts.daemon, facts.now)
    if facts.disk is not None:
        yield f"disk: {facts.disk.summary}, since {moment(facts.disk.at, facts.now)}"
    yield from (f"{event.summary}, said the daemon at {moment(event.at, facts.now)}" for event in facts.stale)
    yield from (paused(pause, facts.now) for pause in facts.pauses[1:])
    polled = f"last polled at {moment(facts.polled_at, facts.now)}" if facts.polled_at else "never polled"
    yield f"its packages, {facts.packages}, were {polled}"
    if facts.published is None:
        yield "nothing was ever published for it"
    else:
        snapshot = facts.published
        commit = snapshot.commit[:SHORT_SHA_DIGITS]
        yield f"last published: {snapshot.package} {commit} at {moment(snapshot.published_at, facts.now)}"


def daemon_words(daemon: DaemonState, now: datetime) -> str:
    """Whether a daemon runs, and where."""
    lease = daemon.lease
    if lease is None:
        return "no daemon is running"
    where = f"{lease.host}, process {lease.pid}"
    if daemon.runs:
        return f"the daemon runs on {where}, started at {moment(lease.since, now)}"
    return f"no daemon is running: that on {where} was last heard of at {moment(lease.heartbeat_at, now)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PointerFacts:
    """What is known of a pointer of a target.

    Attributes:
        standing: where it stands, and what holds it back.
        newest: the id of the commit that `current` leads to; None where nothing is published.
        policy: the promotion's policy; None for what follows builds, and for names without one.
        last: the ledger's last entry of it; None where there is none.
        builds: why the builds that hold it back are as they are.
        now: the time.
    """

    standing: Standing
    newest: str | None
    policy: PromotionPolicy | None
    last: LedgerEntry | None
    builds: tuple[Why, ...]
    now: datetime


def explain_pointer(facts: PointerFacts) -> Why:
    """The answer for a pointer of one target."""
    standing = facts.standing
    state, summary, hint = _pointer(facts)
    return Why(
        subject=Subject.POINTER,
        name=f"{standing.target}/{standing.pointer}",
        state=state,
        summary=summary,
        lines=(*standing.held_back, *_moved(facts)),
        hint=hint,
        because=facts.builds,
    )


def _pointer(facts: PointerFacts) -> tuple[str, str, str]:
    standing = facts.standing
    if facts.newest is None:
        return "not there", f"nothing is published for {standing.target} yet", ""
    if standing.commit == facts.newest:
        return "newest", "it leads to the newest snapshot", ""
    state = "not there" if standing.commit is None else "held back"
    if standing.held_back:
        more = f", and {len(standing.held_back) - 1} more" if len(standing.held_back) > 1 else ""
        return state, f"{standing.held_back[0]}{more}", ""
    if follows_builds(standing.pointer):
        return "behind", "nothing holds it back: the next good build moves it", ""
    return _unpromoted(facts, "behind" if standing.commit else "not there")


def _unpromoted(facts: PointerFacts, state: str) -> tuple[str, str, str]:
    """Why a promotion that nothing holds back is not at the newest snapshot."""
    policy, standing = facts.policy, facts.standing
    promote = f"conveyor promote current {standing.pointer} --target {standing.target}"
    if policy is None:
        return state, "repos.yaml has no policy for it, so only people move it", promote
    if standing.target not in policy.targets:
        return state, f"its policy in repos.yaml leaves {standing.target} out, so it is not moved any more", ""
    together = " on all its targets" if policy.together else ""
    if policy.automatic:
        return state, f"the newest snapshots are fit{together}; the next publication or the daemon moves it", ""
    return state, f"the newest snapshot is fit{together}; it waits for somebody to promote it", promote


def _moved(facts: PointerFacts) -> Iterator[str]:
    standing, last = facts.standing, facts.last
    if standing.commit is not None:
        published = f", published at {moment(standing.published_at, facts.now)}" if standing.published_at else ""
        yield f"it leads to {standing.commit[:SHORT_SHA_DIGITS]}{published}"
    if last is not None:
        note = f": {last.note}" if last.note else ""
        yield f"last moved at {moment(last.at, facts.now)} by {last.actor} ({last.kind}, ledger {last.number}){note}"


def explain_pointers(name: str, pointers: Sequence[Why]) -> Why:
    """The answer for a pointer on all targets that have it."""
    told = [f"{each.name.partition('/')[0]}: {each.state}" for each in pointers]
    states = {each.state for each in pointers}
    state = next((one for one in ("held back", "behind", "not there", "newest") if one in states), "not there")
    return Why(
        subject=Subject.POINTER,
        name=name,
        state=state,
        summary=listed(told, most=len(told)),
        because=tuple(pointers),
    )
