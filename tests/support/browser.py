"""Debian's Chromium, the sizes and themes that pages are looked at in, and the pages of a lively site."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from playwright.sync_api import BrowserContext, ViewportSize

from conveyor.model.access import Session
from conveyor.pipeline.access import secrets
from conveyor.store import open_books
from conveyor.web.access.cookies import SESSION
from tests.support.site import DEB, RPM

CHROMIUM = shutil.which("chromium") or ""
SIZES: Mapping[str, ViewportSize] = {
    "phone": {"width": 390, "height": 844},
    "desk": {"width": 1280, "height": 900},
}
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")


# The pages that ada sees; nobody else may.
ADMINISTRATION = {"access": "/access", "user": "/access/users/grace", "audit": "/access/audit", "account": "/account"}


def sign_in(context: BrowserContext, folder: Path, url: str) -> None:
    """Let a browser be ada's, who may do everything on a lively site."""
    secret, now = secrets.new_secret(), datetime.now(UTC)
    expires = now + timedelta(hours=1)
    session = Session(digest=secrets.digest(secret), user="ada", created_at=now, seen_at=now, expires_at=expires)
    books = open_books(f"sqlite:///{folder}/data/conveyor.db")
    try:
        books.sessions.add(session)
    finally:
        books.store.close()
    context.add_cookies([{"name": SESSION, "value": secret, "url": url, "httpOnly": True, "sameSite": "Lax"}])


def pages_of(folder: Path) -> Mapping[str, str]:
    """The paths of a lively site's pages, by name."""
    books = open_books(f"sqlite:///{folder}/data/conveyor.db")
    try:
        (failed,) = books.store.builds(package="heat", target=RPM, limit=1)
        good = next(each for each in books.store.builds(package="hello", target=DEB, limit=5) if each.published)
        running = next(each for each in books.store.running() if each.target == DEB)
        (errored,) = books.store.builds(package="trove", target=DEB, limit=1)
        snapshots = [each.commit for each in books.store.published(DEB, package="hello")]
    finally:
        books.store.close()
    return {
        "front": "/",
        "front-broken": "/?state=broken",
        "front-empty": "/?q=nothing-is-called-that",
        "wall": "/wall",
        "queue": "/queue",
        "promotions": "/promotions",
        "events": "/events",
        "search": "/search?q=oslo&state=failed",
        "search-empty": "/search",
        "build-failed": f"/builds/{failed.id}",
        "build-errored": f"/builds/{errored.id}",
        "build-running": f"/builds/{running.id}",
        "build-good": f"/builds/{good.id}",
        "packaging": f"/builds/{good.id}/packaging",
        "package": "/packages/heat",
        "commit": f"/commits/{failed.commit.id}",
        "target": f"/targets/{DEB}",
        "snapshot": f"/targets/{DEB}/snapshots/tested",
        "diff": f"/targets/{DEB}/diff?before={snapshots[-1]}&after=current",
        "sign-in": "/sign-in",
        "error": "/packages/nvoa",
    }
