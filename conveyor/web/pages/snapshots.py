"""The pages of a target, a snapshot, and what differs between two."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from conveyor.model.artifact import ArtifactKind
from conveyor.pipeline.looking.travel import Way
from conveyor.repository.names import shard
from conveyor.web.pages import looking
from conveyor.web.pages.answer import Show
from conveyor.web.pages.environment import query, segment
from conveyor.web.site import Site

LISTED = 50
MOST = 5000
WAYS = {
    Way.FORWARD: "forward, by these upstream commits",
    Way.BACK: "back: these upstream commits were taken out",
    Way.SAME: "the same upstream commit, with other packaging or another root",
    Way.REWRITTEN: "neither is in the history of the other: the upstream was force-pushed, or is another one",
    Way.UNKNOWN: "the commits between cannot be told",
}

router = APIRouter(include_in_schema=False)


@router.get("/targets/{target}")
def target(target: str, pages: Show, limit: Annotated[int, Query(ge=1, le=MOST)] = LISTED) -> Response:
    """The page of a target."""
    site = pages.site
    chosen = site.repos.target(target)
    listed = looking.travel(site).listed(target, limit=limit + 1)
    more = len(listed) > limit and limit < MOST
    return pages.page(
        "target.html",
        target=chosen,
        packages=sum(target in each.targets for each in site.repos.packages.values()),
        answer=looking.explainer(site).why(f"target:{target}"),
        listed=listed[:limit],
        next=f"/targets/{segment(target)}{query(limit=min(MOST, limit * 4))}#snapshots" if more else "",
        pointers=_pointers(site, target),
        before="",
        after="current",
    )


@router.get("/targets/{target}/snapshots/{named}")
def snapshot(target: str, named: str, pages: Show) -> Response:
    """The page of a snapshot, by a pointer's name, a build's number, or a commit's id or its beginning."""
    site = pages.site
    chosen = site.repos.target(target)
    held = looking.travel(site).held(target, named)
    tree, place = site.conveyor.tree, shard(held.snapshot.commit)
    names = sorted({each.name for each in held.manifest.own.artifacts if each.kind is ArtifactKind.BINARY})
    follow = tree.client_lines(target, named, names) if named in held.pointers else ""
    return pages.page(
        "snapshot.html",
        target=chosen,
        named=named,
        held=held,
        url=tree.url(target, place),
        lines=tree.client_lines(target, place, names),
        follow=follow,
        pointers=_pointers(site, target),
        before="",
        after=held.snapshot.commit,
        votes=site.conveyor.votes.of(held.snapshot.commit, target=target),
    )


@router.get("/targets/{target}/diff")
def diff(target: str, before: str, after: str, pages: Show) -> Response:
    """What differs between two snapshots of a target."""
    site = pages.site
    return pages.page(
        "diff.html",
        target=site.repos.target(target),
        difference=looking.travel(site).difference(target, before, after),
        before=before,
        after=after,
        pointers=_pointers(site, target),
        ways=WAYS,
    )


def _pointers(site: Site, target: str) -> tuple[str, ...]:
    return tuple(site.conveyor.tree.pointers(target))
