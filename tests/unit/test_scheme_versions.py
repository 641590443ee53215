"""Versions out of histories: each scheme's rules, and that versions only ever grow along a branch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from conveyor.errors import VersionInvalid
from conveyor.formats.deb import version as deb
from conveyor.formats.rpm import version as rpm
from conveyor.model.commit import CommitInfo, History
from conveyor.model.package import VersionScheme
from conveyor.model.version import SchemeVersion
from conveyor.upstream.versions import upstream_version

STABLE = settings(derandomize=True, deadline=None, max_examples=300)
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SHA = "12ab3cdef0123456789012345678901234567890"


def history(tag_version: str | None, commits_since: int, *footers: str, ignored: tuple[str, ...] = ()) -> History:
    return History(
        commit=CommitInfo(sha=SHA, committed_at=START, author="Ada", subject="Change"),
        tag=tag_version,
        tag_version=tag_version,
        commits_since=commits_since,
        footers=footers,
        ignored_tags=ignored,
    )


@pytest.mark.parametrize(
    ("tag_version", "commits_since", "pbr", "tag", "pep440", "dlrn"),
    [
        ("1.2.3", 0, "1.2.3", "1.2.3", "1.2.3", "1.2.3"),
        ("1.2.3", 5, "1.2.4.dev5", "1.2.3.post5+g12ab3cd", "1.2.4.dev5+g12ab3cd", "1.2.4"),
        ("1.2", 5, "1.2.1.dev5", "1.2.post5+g12ab3cd", "1.2.1.dev5+g12ab3cd", "1.3"),
        ("1.0.0rc1", 0, "1.0.0.0rc1", "1.0.0rc1", "1.0.0rc1", "1.0.0"),
        ("1.0.0rc1", 5, "1.0.0.0rc2.dev5", "1.0.0rc1.post5+g12ab3cd", "1.0.0rc2.dev5+g12ab3cd", "1.0.0"),
        ("1.2.3.post4", 0, "1.2.4.dev4", "1.2.3.post4", "1.2.3.post4", "1.2.3.post4"),
        ("1.2.3.post4", 5, "1.2.5.dev5", "1.2.3.post5.dev5+g12ab3cd", "1.2.3.post5.dev5+g12ab3cd", "1.2.3.post5"),
        ("1.2.3.dev4", 0, "1.2.3.dev4", "1.2.3.dev4", "1.2.3.dev4", "1.2.3"),
        ("1.2.3.dev4", 5, "1.2.4.dev5", "1.2.3.dev4+5.g12ab3cd", "1.2.3.dev4+5.g12ab3cd", "1.2.3"),
        (None, 1, "0.0.0", "0.0.0.dev1+g12ab3cd", "0.0.0.dev1+g12ab3cd", "0.0.1"),
        (None, 5, "0.0.1.dev4", "0.0.0.dev5+g12ab3cd", "0.0.0.dev5+g12ab3cd", "0.0.1"),
    ],
)
def test_rules(tag_version: str | None, commits_since: int, pbr: str, tag: str, pep440: str, dlrn: str) -> None:
    made = {scheme: upstream_version(history(tag_version, commits_since), scheme).upstream for scheme in VersionScheme}
    assert made == {
        VersionScheme.PBR: pbr,
        VersionScheme.TAG: tag,
        VersionScheme.PEP440: pep440,
        VersionScheme.DLRN: dlrn,
    }


@pytest.mark.parametrize("scheme", [VersionScheme.TAG, VersionScheme.PEP440, VersionScheme.DLRN])
def test_an_epoch_is_kept(scheme: VersionScheme) -> None:
    assert Version(upstream_version(history("1!2.0.0", 3), scheme).upstream).epoch == 1


def test_pbr_has_no_epochs() -> None:
    with pytest.raises(VersionInvalid, match="is no version that pbr knows"):
        upstream_version(history("1!2.0.0", 3), VersionScheme.PBR)


@pytest.mark.parametrize("scheme", [VersionScheme.TAG, VersionScheme.PEP440, VersionScheme.DLRN])
def test_a_tag_in_another_notation_is_refused(scheme: VersionScheme) -> None:
    with pytest.raises(VersionInvalid, match="tag '2024-01-05' is no version in the sense of PEP 440"):
        upstream_version(history("2024-01-05", 3), scheme)


def test_the_prefix_of_a_tag_does_not_matter() -> None:
    past = replace(history("1.2.3", 5), tag="oslo.utils-1.2.3")
    assert upstream_version(past, VersionScheme.PBR).upstream == "1.2.4.dev5"


@pytest.mark.parametrize(
    ("footers", "wanted"),
    [
        (("bugfix",), "1.2.4.dev5"),
        (("feature",), "1.3.0.dev5"),
        (("deprecation",), "1.3.0.dev5"),
        (("feature", "api-break"), "2.0.0.dev5"),
        (("bugfix, feature",), "1.3.0.dev5"),
        (("nonsense",), "1.2.4.dev5"),
    ],
)
def test_footers(footers: tuple[str, ...], wanted: str) -> None:
    assert upstream_version(history("1.2.3", 5, *footers), VersionScheme.PBR).upstream == wanted


def test_only_dlrn_sets_a_release_and_its_date_is_utc() -> None:
    there = history("1.2.3", 5)
    east = replace(there, commit=replace(there.commit, committed_at=START.astimezone(timezone(timedelta(hours=9)))))
    assert upstream_version(east, VersionScheme.DLRN).release == "0.20260301120000.12ab3cd"
    for scheme in (VersionScheme.PBR, VersionScheme.TAG, VersionScheme.PEP440):
        assert upstream_version(there, scheme).release is None


@pytest.mark.parametrize(
    ("tag_version", "ignored", "note"),
    [
        ("1.2.3", (), ""),
        (None, (), "no tag: starts at 0.0.0"),
        ("1.2.3", ("foo",), "tag 'foo' is no version and was ignored"),
        ("1.2.3", ("$(id)", "a\x1b"), "tags '$(id)', 'a\\x1b' are no versions and were ignored"),
        (
            None,
            tuple("abcde"),
            "no tag: starts at 0.0.0; tags 'a', 'b', 'c' and 2 more are no versions and were ignored",
        ),
    ],
)
def test_notes(tag_version: str | None, ignored: tuple[str, ...], note: str) -> None:
    assert upstream_version(history(tag_version, 2, ignored=ignored), VersionScheme.TAG).note == note


def test_the_note_of_dlrn_names_its_own_start() -> None:
    assert upstream_version(history(None, 2), VersionScheme.DLRN).note == "no tag: starts at 0.0.1"


@dataclass(frozen=True)
class Branch:
    """A tag, the footers of the commits after it, the sha and seconds of each, and the next tag."""

    tag: str | None
    footers: tuple[str, ...]
    shas: tuple[str, ...]
    next_tag: str


FOOTERS = ("", "", "bugfix", "feature", "api-break")
NUMBERS = st.integers(0, 11)
FINAL = st.tuples(NUMBERS, NUMBERS, NUMBERS)


@st.composite
def branches(draw: st.DrawFn) -> Branch:
    """A branch whose next tag is the next one of the last tag's kind, or more."""
    tag, following = draw(st.sampled_from([final_tags, candidate_tags, no_tags]).flatmap(lambda make: make()))
    count = draw(st.integers(1, 12))
    return Branch(
        tag=tag,
        footers=tuple(draw(st.lists(st.sampled_from(FOOTERS), min_size=count, max_size=count))),
        shas=tuple(
            draw(st.lists(st.text("0123456789abcdef", min_size=40, max_size=40), min_size=count, max_size=count))
        ),
        next_tag=following,
    )


def final_tags() -> st.SearchStrategy[tuple[str | None, str]]:
    """1.2.3, then 1.2.4 or the first candidate of it."""
    return st.tuples(FINAL, st.sampled_from(["", "a1", "b1", "rc1"])).map(
        lambda drawn: (
            "{}.{}.{}".format(*drawn[0]),
            f"{drawn[0][0]}.{drawn[0][1]}.{drawn[0][2] + 1}{drawn[1]}",
        )
    )


def candidate_tags() -> st.SearchStrategy[tuple[str | None, str]]:
    """1.2.3rc1, then 1.2.3rc2 or 1.2.3."""
    return st.tuples(FINAL, st.sampled_from(["a", "b", "rc"]), NUMBERS, st.booleans()).map(
        lambda drawn: (
            "{}.{}.{}".format(*drawn[0]) + f"{drawn[1]}{drawn[2]}",
            "{}.{}.{}".format(*drawn[0]) + ("" if drawn[3] else f"{drawn[1]}{drawn[2] + 1}"),
        )
    )


def no_tags() -> st.SearchStrategy[tuple[str | None, str]]:
    """No tag, then anything from 0.0.1 on."""
    return st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda drawn: (None, f"{drawn[0]}.{drawn[1]}.1"))


def versions(branch: Branch, scheme: VersionScheme) -> list[SchemeVersion]:
    """The versions of the tag's commit, of the commits after it, and of the next tag's commit."""
    made = []
    if branch.tag is not None:
        made.append(upstream_version(history(branch.tag, 0), scheme))
    for number, sha in enumerate(branch.shas, 1):
        made.append(upstream_version(at(branch.tag, number, sha, branch.footers[:number]), scheme))
    made.append(upstream_version(at(branch.next_tag, 0, SHA, (), minutes=len(branch.shas) + 1), scheme))
    return made


def at(tag: str | None, number: int, sha: str, footers: tuple[str, ...], *, minutes: int | None = None) -> History:
    here = history(tag, number, *filter(None, footers))
    later = START + timedelta(minutes=number if minutes is None else minutes)
    return replace(here, commit=replace(here.commit, sha=sha, committed_at=later))


def assert_growing(made: list[SchemeVersion]) -> None:
    for notation, to_format, dist in ((rpm, rpm.to_rpm, "el10"), (deb, deb.to_deb, "deb13")):
        evrs = ["{}:{}".format(*to_format(one.upstream)) + f"-{notation.release(1, one.release, dist)}" for one in made]
        for earlier, later in pairwise(evrs):
            assert notation.compare(earlier, later) < 0, (earlier, later)


@pytest.mark.parametrize("scheme", [VersionScheme.TAG, VersionScheme.PEP440])
@STABLE
@given(branches())
def test_versions_grow_along_a_branch(scheme: VersionScheme, branch: Branch) -> None:
    assert_growing(versions(branch, scheme))


@STABLE
@given(branches())
def test_versions_of_pbr_grow_along_a_branch_that_keeps_its_promise(branch: Branch) -> None:
    """The next tag is what the footers promised: 1.3.0 after a feature. A feature after rc1 promises 1.1.0."""
    promised = Version(versions(branch, VersionScheme.PBR)[-2].upstream)
    if promised.is_devrelease:
        kept = "{}.{}.{}".format(*promised.release)
        assert_growing(versions(replace(branch, next_tag=kept), VersionScheme.PBR))


@STABLE
@given(branches().filter(lambda branch: branch.tag is not None or Version(branch.next_tag) > Version("0.0.1")))
def test_versions_of_dlrn_grow_where_dates_do(branch: Branch) -> None:
    assert_growing(versions(branch, VersionScheme.DLRN))


def test_dlrn_goes_backwards_with_the_dates() -> None:
    older = at("1.2.3", 2, SHA, (), minutes=-1)
    made = [upstream_version(one, VersionScheme.DLRN) for one in (at("1.2.3", 1, SHA, ()), older)]
    with pytest.raises(AssertionError):
        assert_growing(made)


def test_tags_of_every_kind_in_their_order() -> None:
    """Tag and pep440 also hold after post-releases and development tags."""
    for scheme in (VersionScheme.TAG, VersionScheme.PEP440):
        for tag, following in (("1.2.3.post4", "1.2.3.post5"), ("1.2.3.dev4", "1.2.3.dev5"), ("1.2.3.dev4", "1.2.3a1")):
            branch = Branch(tag=tag, footers=("",) * 11, shas=(SHA,) * 11, next_tag=following)
            assert_growing(versions(branch, scheme))
