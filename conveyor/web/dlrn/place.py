"""The target that a request is about. An instance of DLRN has one; Conveyor has one for all.

Below `/api/` it is the site's choice, below `/dlrn/<target>/api/` the one that is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from conveyor.errors import UnknownName
from conveyor.model.commit import PACKAGING_SHA_DIGITS
from conveyor.model.published import PublishedSnapshot
from conveyor.model.target import Format
from conveyor.web.dlrn.answers import Refused
from conveyor.web.dlrn.asked import Hashes
from conveyor.web.site import Here, Site

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DISTRO = re.compile(r"[0-9a-f]{8,40}")
_EXTENDED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """What was published of a commit, as DLRN's clients know it.

    Attributes:
        commit: the commit's id.
        commit_hash: the upstream sha.
        distro_hash: the packaging's sha: 40 digits, or 8 where the store does not know the commit.
        extended_hash: None for none.
        component: the component of its package; None where the store does not know the commit.
    """

    commit: str
    commit_hash: str
    distro_hash: str
    extended_hash: str | None
    component: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was published of a commit, and when.

    Attributes:
        repo: what it is.
        snapshot: the snapshot, which may have been collected.
    """

    repo: Repo
    snapshot: PublishedSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The site and the target that a request is about.

    Attributes:
        site: the site.
        target: the target's name.
    """

    site: Site
    target: str

    def repo(self, commit: str) -> Repo:
        """What was published of the commit of an id."""
        store = self.site.conveyor.store
        snapshots = [each for each in store.published(self.target, commit=commit) if each.commit == commit]
        if snapshots:
            return self._repo(snapshots[-1])
        commit_hash, distro_hash, *extended = commit.split("_", 2)
        return Repo(
            commit=commit,
            commit_hash=commit_hash,
            distro_hash=distro_hash,
            extended_hash=extended[0] if extended else None,
            component=None,
        )

    def find(self, hashes: Hashes) -> Found:
        """What was published of the commit that hashes name; of several the latest.

        Raises:
            Refused: nothing was.
        """
        prefix = _prefix(hashes)
        if prefix is not None:
            for snapshot in self.site.conveyor.store.published(self.target, commit=prefix):
                repo = self._repo(snapshot)
                wanted = hashes.extended_hash or repo.extended_hash
                if repo.extended_hash == wanted and repo.distro_hash.startswith(hashes.distro_hash):
                    return Found(repo=repo, snapshot=snapshot)
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            f"commit_hash+distro_hash+extended_hash combination not found: {told(hashes)} is not published for"
            f" {self.target}",
        )

    def url(self, commit: str) -> str:
        """Where the repository of a commit is."""
        return self.site.conveyor.tree.url(self.target, f"{commit[:2]}/{commit[2:4]}/{commit}")

    def _repo(self, snapshot: PublishedSnapshot) -> Repo:
        entry = self.site.conveyor.store.entry(snapshot.build)
        return Repo(
            commit=snapshot.commit,
            commit_hash=entry.upstream_sha,
            distro_hash=entry.packaging_sha,
            extended_hash=entry.extended or None,
            component=entry.component,
        )


def told(hashes: Hashes) -> str:
    """Hashes as people write them."""
    return "_".join(filter(None, [hashes.commit_hash, hashes.distro_hash, hashes.extended_hash]))


def target_of(site: Site, asked: str | None) -> str:
    """The target of a request.

    Args:
        site: the site.
        asked: the one that the path names; None for the site's choice.

    Raises:
        Refused: there is no such target.
    """
    try:
        if asked is not None:
            return site.repos.target(asked).name
        if site.settings.web.dlrn_target is not None:
            return site.repos.target(site.settings.web.dlrn_target).name
    except UnknownName as error:
        raise Refused(HTTPStatus.NOT_FOUND, error.summary) from error
    built = site.repos.built_targets or tuple(site.repos.targets)
    rpm = (name for name in built if site.repos.targets[name].format is Format.RPM)
    chosen = next(rpm, next(iter(built), None))
    if chosen is None:
        raise Refused(HTTPStatus.NOT_FOUND, "repos.yaml has no target")
    return chosen


def _prefix(hashes: Hashes) -> str | None:
    """What ids of such commits begin with; None where there can be none."""
    extended = hashes.extended_hash or ""
    if not (_COMMIT.fullmatch(hashes.commit_hash) and _DISTRO.fullmatch(hashes.distro_hash)):
        return None
    if extended and not _EXTENDED.fullmatch(extended):
        return None
    short = f"{hashes.commit_hash}_{hashes.distro_hash[:PACKAGING_SHA_DIGITS]}"
    return f"{short}_{extended}" if extended else short


async def _place(request: Request, site: Here) -> Place:
    return Place(site=site, target=target_of(site, request.path_params.get("target")))


# What a route takes to know the target.
There = Annotated[Place, Depends(_place)]
