"""Published snapshots, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.moments import iso, moment
from conveyor.errors import ConveyorError
from conveyor.model.commit import CommitInfo
from conveyor.model.manifest import ManifestPackage
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.desk import Shown, UrlOf
from conveyor.pipeline.looking.travel import Change, Difference, Listed, Then, Way


def snapshot_as_json(url: UrlOf, snapshot: PublishedSnapshot) -> Mapping[str, Any]:
    """A snapshot in a documented form: docs/json.md."""
    return {
        "build": snapshot.build,
        "target": snapshot.target,
        "commit_id": snapshot.commit,
        "package": snapshot.package,
        "version": snapshot.version,
        "published_at": snapshot.published_at.isoformat(),
        "collected_at": iso(snapshot.collected_at),
        "url": url(snapshot) if snapshot.collected_at is None else None,
    }


def snapshot_from_json(document: Mapping[str, Any]) -> PublishedSnapshot:
    """What a document says of a snapshot."""
    return PublishedSnapshot(
        build=document["build"],
        target=document["target"],
        commit=document["commit_id"],
        package=document["package"],
        version=document["version"],
        published_at=datetime.fromisoformat(document["published_at"]),
        collected_at=moment(document["collected_at"]),
    )


def listed_as_json(url: UrlOf, found: Sequence[Listed]) -> dict[str, Any]:
    """Snapshots with what points at them, in a documented form: docs/json.md."""
    listed = [{"snapshot": snapshot_as_json(url, each.snapshot), "pointers": list(each.pointers)} for each in found]
    return {"format_version": FORMAT_VERSION, "snapshots": listed}


def listed_from_json(document: Mapping[str, Any]) -> tuple[Listed, ...]:
    """What a document says of snapshots."""
    return tuple(
        Listed(snapshot=snapshot_from_json(each["snapshot"]), pointers=tuple(each["pointers"]))
        for each in document["snapshots"]
    )


def shown_as_json(url: UrlOf, shown: Shown) -> dict[str, Any]:
    """What a snapshot holds, in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "snapshot": snapshot_as_json(url, shown.snapshot),
        "pointers": list(shown.pointers),
        "client_lines": shown.lines,
        "following_lines": shown.follow,
        "packages": [_package_as_json(each) for each in shown.packages],
    }


def shown_from_json(document: Mapping[str, Any]) -> Shown:
    """What a document says of what a snapshot holds."""
    return Shown(
        snapshot=snapshot_from_json(document["snapshot"]),
        pointers=tuple(document["pointers"]),
        packages=tuple(_package_from_json(each) for each in document["packages"]),
        lines=document["client_lines"],
        follow=document["following_lines"],
    )


def places_as_json(
    url: UrlOf, at: datetime, pointer: str, places: Sequence[Then], missing: Sequence[ConveyorError] = ()
) -> dict[str, Any]:
    """Where a pointer was at a time, in a documented form: docs/json.md."""

    def near(snapshot: PublishedSnapshot | None) -> Mapping[str, Any] | None:
        return None if snapshot is None else snapshot_as_json(url, snapshot)

    found = [
        {
            "snapshot": near(then.snapshot),
            "since": then.since.isoformat(),
            "older": near(then.older),
            "newer": near(then.newer),
        }
        for then in places
    ]
    return {
        "format_version": FORMAT_VERSION,
        "at": at.isoformat(),
        "pointer": pointer,
        "places": found,
        "missing": [each.summary for each in missing],
    }


def places_from_json(document: Mapping[str, Any]) -> tuple[Then, ...]:
    """What a document says of where a pointer was."""

    def near(each: Mapping[str, Any] | None) -> PublishedSnapshot | None:
        return None if each is None else snapshot_from_json(each)

    return tuple(
        Then(
            at=datetime.fromisoformat(document["at"]),
            pointer=document["pointer"],
            snapshot=snapshot_from_json(each["snapshot"]),
            since=datetime.fromisoformat(each["since"]),
            older=near(each["older"]),
            newer=near(each["newer"]),
        )
        for each in document["places"]
    )


def difference_as_json(url: UrlOf, difference: Difference) -> dict[str, Any]:
    """What differs, in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "before": snapshot_as_json(url, difference.before),
        "after": snapshot_as_json(url, difference.after),
        "added": [_package_as_json(each) for each in difference.added],
        "removed": [_package_as_json(each) for each in difference.removed],
        "changed": [_change_as_json(each) for each in difference.changed],
    }


def difference_from_json(document: Mapping[str, Any]) -> Difference:
    """What a document says of what differs."""
    return Difference(
        before=snapshot_from_json(document["before"]),
        after=snapshot_from_json(document["after"]),
        added=tuple(_package_from_json(each) for each in document["added"]),
        removed=tuple(_package_from_json(each) for each in document["removed"]),
        changed=tuple(_change_from_json(each) for each in document["changed"]),
    )


def _package_from_json(document: Mapping[str, Any]) -> ManifestPackage:
    return ManifestPackage(
        package=document["package"],
        commit=document["commit_id"],
        upstream_url=document["upstream_url"] or "",
        upstream_sha=document["upstream_sha"] or "",
        packaging_url="",
        packaging_sha=document["packaging_sha"] or "",
        extended="",
        component=document["component"] or "",
        version=document["version"],
        artifacts=(),
    )


def _change_from_json(document: Mapping[str, Any]) -> Change:
    return Change(
        before=_package_from_json(document["before"]),
        after=_package_from_json(document["after"]),
        way=Way(document["way"]),
        commits=tuple(
            CommitInfo(
                sha=each["sha"],
                committed_at=datetime.fromisoformat(each["committed_at"]),
                author=each["author"],
                subject=each["subject"],
            )
            for each in document["commits"]
        ),
        more=document["more"],
        why=document["why"] or "",
    )


def _package_as_json(package: ManifestPackage) -> Mapping[str, Any]:
    return {
        "package": package.package,
        "version": package.version,
        "commit_id": package.commit,
        "upstream_url": package.upstream_url or None,
        "upstream_sha": package.upstream_sha or None,
        "packaging_sha": package.packaging_sha or None,
        "component": package.component or None,
    }


def _change_as_json(change: Change) -> Mapping[str, Any]:
    return {
        "before": _package_as_json(change.before),
        "after": _package_as_json(change.after),
        "way": change.way,
        "commits": [
            {
                "sha": commit.sha,
                "committed_at": commit.committed_at.isoformat(),
                "author": commit.author,
                "subject": commit.subject,
            }
            for commit in change.commits
        ],
        "more": change.more,
        "why": change.why or None,
    }
