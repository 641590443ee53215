"""Published snapshots, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conveyor.model.manifest import ManifestPackage
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.looking.travel import Change, Difference, Held, Listed, Then
from conveyor.repository.names import shard
from conveyor.repository.tree import PublishedTree


def snapshot_as_json(tree: PublishedTree, snapshot: PublishedSnapshot) -> Mapping[str, Any]:
    """A snapshot in a documented form: docs/json.md."""
    return {
        "build": snapshot.build,
        "target": snapshot.target,
        "commit_id": snapshot.commit,
        "package": snapshot.package,
        "version": snapshot.version,
        "published_at": snapshot.published_at.isoformat(),
        "collected_at": snapshot.collected_at.isoformat() if snapshot.collected_at else None,
        "url": tree.url(snapshot.target, shard(snapshot.commit)) if snapshot.collected_at is None else None,
    }


def listed_as_json(tree: PublishedTree, listed: Listed) -> Mapping[str, Any]:
    """A snapshot with what points at it, in a documented form: docs/json.md."""
    return {"snapshot": snapshot_as_json(tree, listed.snapshot), "pointers": list(listed.pointers)}


def held_as_json(tree: PublishedTree, held: Held, lines: str, follow: str | None) -> Mapping[str, Any]:
    """What a snapshot holds, in a documented form: docs/json.md."""
    return {
        "snapshot": snapshot_as_json(tree, held.snapshot),
        "pointers": list(held.pointers),
        "client_lines": lines,
        "following_lines": follow,
        "packages": [_package_as_json(each) for each in held.manifest.packages],
    }


def then_as_json(tree: PublishedTree, then: Then) -> Mapping[str, Any]:
    """Where a pointer was, in a documented form: docs/json.md."""

    def near(snapshot: PublishedSnapshot | None) -> Mapping[str, Any] | None:
        return None if snapshot is None else snapshot_as_json(tree, snapshot)

    return {
        "snapshot": near(then.snapshot),
        "since": then.since.isoformat(),
        "older": near(then.older),
        "newer": near(then.newer),
    }


def difference_as_json(tree: PublishedTree, difference: Difference) -> Mapping[str, Any]:
    """What differs, in a documented form: docs/json.md."""
    return {
        "before": snapshot_as_json(tree, difference.before),
        "after": snapshot_as_json(tree, difference.after),
        "added": [_package_as_json(each) for each in difference.added],
        "removed": [_package_as_json(each) for each in difference.removed],
        "changed": [_change_as_json(each) for each in difference.changed],
    }


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
