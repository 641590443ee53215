"""How a page is answered: rendered, with its ETag, and not at all where the browser has it already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from conveyor.model.access import Permission, Principal
from conveyor.web.access.guard import Reader
from conveyor.web.pages.environment import environment
from conveyor.web.site import Here, Site

NAVIGATION = (
    ("/", "Overview"),
    ("/queue", "Queue"),
    ("/promotions", "Promotions"),
    ("/events", "Events"),
    ("/search", "Search"),
)
# For those who look after tokens and users.
ADMINISTRATION = (("/access", "Access"),)
HTML = "text/html; charset=utf-8"
ATOM = "application/atom+xml; charset=utf-8"
SVG = "image/svg+xml"
_DIGITS = 24
# Asked for anew each time, and then mostly answered with "you have it already".
_ASK = "no-cache"
_ASK_ALONE = "private, no-cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What a route of a page answers with.

    Attributes:
        request: what is answered.
        site: what it is answered from.
        who: who asks.
        now: the time, the same in all of the page.
    """

    request: Request
    site: Site
    who: Principal
    now: datetime

    @property
    def may_act(self) -> bool:
        """Whether buttons that act on builds are shown."""
        return self.who.may(Permission.RETRY)

    def render(self, template: str, **context: object) -> str:
        """The text of a template."""
        everywhere = {
            "now": self.now,
            "user": self.who.name,
            "csrf": self.who.csrf,
            "may_act": self.may_act,
            "here": self.request.url.path,
            "navigation": navigation_of(self.who),
            "known_targets": self.site.repos.targets,
            "mistake": self.site.mistake.summary if self.site.mistake else "",
        }
        text = environment().get_template(template).render({**everywhere, **context})
        return self.site.discretion.told(text)

    def page(self, template: str, **context: object) -> Response:
        """A page."""
        return self.answer(self.render(template, **context), HTML)

    def answer(self, text: str, media_type: str) -> Response:
        """A text that stays as it is until something happens."""
        private = bool(self.who.name) or not self.site.settings.web.open
        headers = {"cache-control": _ASK_ALONE if private else _ASK, "vary": "Cookie, Authorization"}
        return conditional(self.request, text.encode(errors="replace"), media_type, headers)


async def _pages(request: Request, site: Here, who: Reader) -> Pages:
    return Pages(request=request, site=site, who=who, now=datetime.now(UTC))


# What a route takes to answer with a page. Who may not look is told so instead.
Show = Annotated[Pages, Depends(_pages)]


def navigation_of(who: Principal) -> Sequence[tuple[str, str]]:
    """The pages that each page leads to: their paths and names."""
    return (*NAVIGATION, *ADMINISTRATION) if who.may(Permission.ADMIN) else NAVIGATION


def conditional(request: Request, content: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The content, or 304 where the client has it."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:_DIGITS]}"'
    kept = {**headers, "etag": tag}
    asked = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if asked & {tag, "*"}:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)
    return Response(content, media_type=media_type, headers=kept)


def alone(path: str) -> Mapping[str, object]:
    """What each page needs, where nothing is known of the site or of who asks."""
    return {
        "now": datetime.now(UTC),
        "user": "",
        "csrf": "",
        "may_act": False,
        "here": path,
        "navigation": NAVIGATION,
        "known_targets": (),
        "mistake": "",
    }


def mistake(request: Request, status: HTTPStatus, title: str, members: Mapping[str, Any]) -> Response:
    """A page that says what went wrong, and what to do."""
    told = {name: str(members.get(name, "")) for name in ("detail", "hint")}
    details = [str(each) for each in members.get("details", ())]
    everywhere = alone(request.url.path)
    text = (
        environment()
        .get_template("error.html")
        .render(**everywhere, **told, details=details, status=status.value, title=title)
    )
    return Response(text.encode(errors="replace"), status.value, media_type=HTML, headers={"cache-control": "no-store"})


def wants_page(request: Request) -> bool:
    """Whether an error is told as a page: not to programs."""
    return not request.url.path.startswith("/api") and "text/html" in request.headers.get("accept", "")
