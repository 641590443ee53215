"""The version of a commit: a pure function of its history and a scheme, never of the time of the build.

Within one branch a version sorts above the last tag, above every earlier commit (the number of commits since the tag
grows) and below the next tag, as long as that tag is no lower than the next version of its kind: after 1.2.3 at least
1.2.4.dev<more> or 1.2.4, after 1.0.0rc1 at least 1.0.0rc2 or 1.0.0. Known limits:

- pbr: the footers promise the next version, so 1.3.0.dev2 (a feature since 1.2.3) sorts above a tag 1.2.4 that breaks
  the promise. A feature footer after 2.0.0rc1 promises 2.1.0: pbr's own rule. pbr has no fourth component and no
  post-release: its rules read the tag 1.2.3.4 as 1.2.3.dev4, and 1.2.3.post4 as 1.2.4.dev4.
- pep440: a release that upstream tags lower than the next patch version, such as 1.2.3.post1 or 1.2.3.1 after 1.2.3,
  sorts below 1.2.4.dev2.
- pbr and pep440: 1.2.4.dev30 sorts below every pre-release of 1.2.4, but above an upstream tag 1.2.4.dev1.
- dlrn: the release orders commits by their date, so a child older than its parent sorts below it; 1.2 is followed by
  1.3, above a tag 1.2.1; a commit on a tag sorts below that release as a distribution packages it (release 1).

`conveyor.pipeline.check` refuses to publish what sorts below an earlier version.

Sources: PEP 440; pbr's documentation, "Semantic versioning" and "Version"; DLRN's documentation for its numbering.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import dunamai
from packaging.version import InvalidVersion, Version
from pbr.version import SemanticVersion

from conveyor.errors import VersionInvalid
from conveyor.model.commit import SHORT_SHA_DIGITS, History
from conveyor.model.package import VersionScheme
from conveyor.model.version import SchemeVersion

NOTED_TAGS = 3
PATCH_COMPONENTS = 3


def upstream_version(history: History, scheme: VersionScheme) -> SchemeVersion:
    """The version of a commit.

    Raises:
        VersionInvalid: the scheme cannot express a version after the last tag.
    """
    first = "0.0.1" if scheme is VersionScheme.DLRN else "0.0.0"
    return SchemeVersion(
        upstream=_SCHEMES[scheme](history),
        release=_dlrn_release(history) if scheme is VersionScheme.DLRN else None,
        note=_note(history, first),
    )


def _pbr(history: History) -> str:
    """The rules of pbr, by pbr itself: on a tag the tag; after it the version that the footers promise, and .devN.

    Without a tag pbr starts at 0.0.0, which is the first commit; the second is 0.0.1.dev1. pbr counts the commits that
    git lists before the tag's, newest first; History counts those that are not in the tag, which differs only where
    commits older than the tag were merged after it.
    """
    last = _pbr_last(history)
    distance = history.commits_since if history.tag else history.commits_since - 1
    if distance == 0:
        return str(last.release_string())
    promised = {symbol.strip().lower() for footer in history.footers for symbol in footer.split(",")}
    following = last.increment(minor=bool(promised & {"feature", "deprecation"}), major="api-break" in promised)
    return str(following.to_dev(distance).release_string())


def _pbr_last(history: History) -> SemanticVersion:
    # pbr reads the tag itself, where it knows its notation; its prefixes other than "v" are taken off in tag_version.
    for text in filter(None, (history.tag, history.tag_version)):
        try:
            return SemanticVersion.from_pip_string(text.replace("-", "."))
        except ValueError:
            continue
    if history.tag is None:
        return SemanticVersion(0)
    raise VersionInvalid(
        f"tag {history.tag!r} is no version that pbr knows",
        hint='Choose the version scheme "tag" or "pep440" for this package.',
    )


def _tag(history: History) -> str:
    """The last tag plus commits: 1.2.3.post5+gabcdef0. PEP 440 puts it above 1.2.3, and below 1.2.3.1 and 1.2.4."""
    last = _last(history)
    if last is None or history.commits_since == 0 or last.is_devrelease or last.is_postrelease:
        return _without_new_number(history, last)
    return _compose(last, last.release, pre=last.pre, post=history.commits_since, mark=_mark(history))


def _pep440(history: History) -> str:
    """The next patch version's .devN: 1.2.4.dev5+gabcdef0; after 1.2.4rc1 it is 1.2.4rc2.dev5+gabcdef0."""
    last = _last(history)
    if last is None or history.commits_since == 0 or last.is_prerelease or last.is_postrelease:
        return _without_new_number(history, last)
    return _compose(last, _next_patch(last), dev=history.commits_since, mark=_mark(history))


def _without_new_number(history: History, last: Version | None) -> str:
    """No tag, the tag itself, or development of the next version after a dev, post or pre-release."""
    number, mark = history.commits_since, _mark(history)
    if last is None:
        return f"0.0.0.dev{number}+{mark}"
    if number == 0:
        return str(last)
    if last.dev is not None:
        # Nothing but a local part stands between 1.2.3.dev4 and 1.2.3.dev5.
        return f"{last.public}+{number}.{mark}"
    if last.post is not None:
        return _compose(last, last.release, pre=last.pre, post=last.post + 1, dev=number, mark=mark)
    return _compose(last, last.release, pre=_next_pre(last), dev=number, mark=mark)


def _dlrn(history: History) -> str:
    """DLRN's numbering: a commit past its tag has the tag's last number raised by one; the release tells them apart.

    A pre-release or development version is the version it leads to, because release 0.<date> sorts below that
    version's own release 1. DLRN itself knows only some notations of these, and no post-releases.
    """
    last = _last(history)
    if last is None:
        return "0.0.1"
    raised = 1 if history.commits_since and last.dev is None else 0
    if last.pre is not None:
        return last.base_version
    if last.post is not None:
        return _compose(last, last.release, post=last.post + raised)
    return _compose(last, (*last.release[:-1], last.release[-1] + raised))


def _dlrn_release(history: History) -> str:
    committed_at = history.commit.committed_at.astimezone(UTC)
    return f"0.{committed_at:%Y%m%d%H%M%S}.{history.commit.sha[:SHORT_SHA_DIGITS]}"


def _last(history: History) -> Version | None:
    """The last tag's version; None without a tag."""
    if history.tag_version is None:
        return None
    try:
        return Version(history.tag_version)
    except InvalidVersion as error:
        raise VersionInvalid(
            f"tag {history.tag!r} is no version in the sense of PEP 440, so the version after it is not known",
            hint="Tag the upstream with a PEP 440 version.",
        ) from error


def _next_patch(last: Version) -> tuple[int, ...]:
    filled = last.release + (0,) * (PATCH_COMPONENTS - len(last.release))
    return (*filled[:-1], filled[-1] + 1)


def _next_pre(last: Version) -> tuple[str, int] | None:
    return (last.pre[0], last.pre[1] + 1) if last.pre else None


def _mark(history: History) -> str:
    """What `git describe` calls a commit: "g" and the abbreviated sha."""
    return f"g{history.commit.sha[:SHORT_SHA_DIGITS]}"


def _compose(
    last: Version,
    release: tuple[int, ...],
    *,
    pre: tuple[str, int] | None = None,
    post: int | None = None,
    dev: int | None = None,
    mark: str | None = None,
) -> str:
    stage, revision = pre or (None, None)
    return dunamai.serialize_pep440(
        ".".join(map(str, release)), stage, revision, post, dev, last.epoch or None, [mark] if mark else None
    )


def _note(history: History, first: str) -> str:
    notes = [] if history.tag else [f"no tag: starts at {first}"]
    ignored = [repr(tag) for tag in history.ignored_tags[:NOTED_TAGS]]
    more = len(history.ignored_tags) - len(ignored)
    if len(history.ignored_tags) == 1:
        notes.append(f"tag {ignored[0]} is no version and was ignored")
    elif ignored:
        names = ", ".join(ignored) + (f" and {more} more" if more else "")
        notes.append(f"tags {names} are no versions and were ignored")
    return "; ".join(notes)


_SCHEMES: dict[VersionScheme, Callable[[History], str]] = {
    VersionScheme.PBR: _pbr,
    VersionScheme.TAG: _tag,
    VersionScheme.PEP440: _pep440,
    VersionScheme.DLRN: _dlrn,
}
