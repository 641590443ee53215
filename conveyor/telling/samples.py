"""Facts to try templates with: the same keys as those that letters are written with, see docs/telling.md."""

from __future__ import annotations

from collections.abc import Mapping

SITE = {"name": "conveyor", "base_url": "https://trunk.example.org", "host": "hub.example.org"}
BUILD = {
    "id": 12,
    "attempt": 1,
    "commit_id": "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b_0123abcd",
    "upstream_sha": "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b",
    "packaging_sha": "0123abcd0123abcd0123abcd0123abcd0123abcd",
    "short": "1a2b3c4",
    "subject": "Drop a helper that nobody uses",
    "author": "Ada Lovelace",
    "committed_at": "2026-03-07T11:55:00+00:00",
    "version": "7.1.0~dev12-1",
}
CAUSE = {
    "fault": "package",
    "whose": "the package's fault",
    "stage": "build",
    "kind": "BuildFailed",
    "summary": "dpkg-buildpackage ended with code 2",
    "hint": "mend the package, or its packaging",
    "details": ["E   ImportError: cannot import name 'helper'", "1 failed, 200 passed"],
}
LINKS = {
    "why": "conveyor why 12",
    "show_log": "conveyor log 12",
    "log": "/var/lib/conveyor/builds/12/1/log",
    "snapshot": None,
}
NO_LINKS = dict.fromkeys(LINKS)
DIGEST: Mapping[str, object] = {
    "package": "oslo.utils",
    "notices": [
        {"at": "2026-03-07T12:00:00+00:00", "subject": f"[conveyor] subject {number}", "body": [f"body {number}"]}
        for number in range(25)
    ],
    "site": SITE,
}


def samples() -> dict[str, Mapping[str, object]]:
    """Facts by the template's name; those of any other event are under "event"."""
    of_build = {"build": BUILD, "links": LINKS, "site": SITE}
    return {
        "failed": {"event": _event("failed"), "cause": CAUSE, **of_build},
        "works-again": {"event": _event("works-again"), "cause": None, **of_build},
        "gave-up": {"event": _event("gave-up"), "cause": CAUSE, **of_build},
        "still-failing": {
            "event": {
                **_event("still-failing"),
                "detail": {"attempt": 1, "since": "2026-02-28T12:00:00+00:00", "seconds": 604800},
            },
            "cause": CAUSE,
            **of_build,
        },
        "pointer-held-back": {
            "event": {
                **_event("pointer-held-back"),
                "package": "",
                "detail": {
                    "pointer": "consistent",
                    "commit": BUILD["commit_id"],
                    "seconds": 604800,
                    "count": 1,
                    "packages": ["oslo.utils"],
                },
            },
            "cause": None,
            "build": None,
            "links": NO_LINKS,
            "site": SITE,
        },
        "event": {
            "event": {
                **_event("disk-low"),
                "package": "",
                "target": "",
                "detail": {"free": 1024, "places": ["/var/lib/conveyor"]},
            },
            "build": None,
            "cause": None,
            "links": NO_LINKS,
            "site": SITE,
        },
        "digest": DIGEST,
    }


def _event(kind: str) -> dict[str, object]:
    return {
        "number": 34,
        "kind": kind,
        "at": "2026-03-07T12:00:00+00:00",
        "summary": f"oslo.utils: {kind}",
        "package": "oslo.utils",
        "target": "debian-13-amd64",
        "detail": {"attempt": 1},
    }
