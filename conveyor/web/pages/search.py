"""The page that finds builds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi import Query as InQuery

from conveyor.model.build import Outcome, State
from conveyor.model.search import Query
from conveyor.web.pages.answer import Show
from conveyor.web.pages.environment import query
from conveyor.web.pages.filters import require_known
from conveyor.web.pages.states import STATES
from conveyor.web.site import Site

SHOWN = 50
PACKAGES = 50
FIELDS = (
    ("package", "Package"),
    ("commit", "Commit"),
    ("version", "Version"),
    ("file", "File"),
    ("maintainer", "Maintainer"),
)
_SHA = re.compile(r"[0-9a-f]{4,40}(_[0-9a-zA-Z._-]*)?")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.:~^+-]*")
_LONGEST = 200
Text = Annotated[str, InQuery(max_length=_LONGEST)]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked for: all that is not empty must fit.

    Attributes:
        q: anything: a commit, a version, or part of a package's name.
        package: part of the package's name.
        commit, version, file: their beginnings.
        maintainer: part of a maintainer's name or address.
        target: the target's name.
        state: how builds stand: an outcome, queued or running.
    """

    q: str
    package: str
    commit: str
    version: str
    file: str
    maintainer: str
    target: str
    state: str

    @property
    def is_set(self) -> bool:
        """Whether anything is looked for."""
        return any(asdict(self).values())


async def _asked(
    q: Text = "",
    package: Text = "",
    commit: Text = "",
    version: Text = "",
    file: Text = "",
    maintainer: Text = "",
    target: Text = "",
    state: Text = "",
) -> Asked:
    given: Mapping[str, str] = locals()
    return Asked(**{name: value.strip() for name, value in given.items()})


@router.get("/search")
def search(
    asked: Annotated[Asked, Depends(_asked)],
    pages: Show,
    before: Annotated[int | None, InQuery(ge=1, lt=2**62)] = None,
) -> Response:
    """Builds that fit what is asked for, and packages whose names do."""
    require_known("state", asked.state, STATES)
    site = pages.site
    found = site.conveyor.lookup.search(query_of(site, asked, before)) if asked.is_set else None
    following = query(**asdict(asked), before=found.before) if found and found.before else ""
    return pages.page(
        "search.html",
        asked=asked,
        fields=FIELDS,
        states=STATES,
        all_targets=dict.fromkeys([*site.repos.targets, *([asked.target] if asked.target else [])]),
        searched=found is not None,
        builds=found.builds if found else (),
        packages=_packages(site, asked.package or asked.q)[:PACKAGES],
        next=f"/search{following}" if following else "",
    )


def query_of(site: Site, asked: Asked, before: int | None) -> Query:
    """What is asked of the store."""
    wanted = Query(
        target=asked.target or None,
        commit=asked.commit.lower() or None,
        version=asked.version or None,
        file=asked.file or None,
        state=State(asked.state) if asked.state in {State.QUEUED, State.RUNNING} else None,
        outcome=Outcome(asked.state) if asked.state in [*Outcome] else None,
        packages=_chosen(site, asked),
        trunk=None,
        before=before,
        limit=SHOWN,
    )
    return _anything(site, asked.q, wanted) if asked.q else wanted


def _chosen(site: Site, asked: Asked) -> tuple[str, ...] | None:
    """The packages that fit by name and maintainer; None for all."""
    if not (asked.package or asked.maintainer):
        return None
    # A name that repos.yaml has no more may have builds all the same.
    named = _packages(site, asked.package) or ((asked.package,) if asked.package else tuple(site.repos.packages))
    if not asked.maintainer:
        return named
    wanted = asked.maintainer.lower()
    return tuple(
        name
        for name in named
        if name in site.repos.packages and any(wanted in each.lower() for each in site.repos.packages[name].maintainers)
    )


def _anything(site: Site, text: str, wanted: Query) -> Query:
    """The same, with what a text most likely is: part of a package's name, a commit, or a version."""
    named = _packages(site, text)
    if named:
        both = named if wanted.packages is None else tuple(each for each in named if each in wanted.packages)
        return replace(wanted, packages=both)
    if _SHA.fullmatch(text.lower()) and wanted.commit is None:
        return replace(wanted, commit=text.lower())
    if _VERSION.fullmatch(text) and wanted.version is None:
        return replace(wanted, version=text)
    return replace(wanted, packages=(text,)) if wanted.packages is None else wanted


def _packages(site: Site, part: str) -> tuple[str, ...]:
    wanted = part.lower()
    return tuple(name for name in site.repos.packages if wanted in name) if wanted else ()
