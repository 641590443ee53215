"""The templates' environment. All text is escaped, and what upstream can name is made plain where it is shown."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from conveyor import __version__
from conveyor.config.human import NEVER
from conveyor.model.addresses import public_url
from conveyor.model.text import plain, shortened
from conveyor.pipeline.pointing.evidence import told_seconds
from conveyor.web.pages import assets, pieces, plots, states

_KIBI = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTE = 60
_HOUR = 3600
_DAY = 24 * _HOUR
# Seconds below which a tenth of one tells something.
_SHORT = 10
LINE = 200
# An id of a commit, to be told by its beginning.
_COMMIT = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28}_[0-9a-f]{8}(?:_\w+)?")
_MOMENT = Markup('<time datetime="%s" title="%s" data-at>%s</time>')
# Where templates are; what is in the first of these counts.
ROOMS = ("pages", "access")


@cache
def environment() -> Environment:
    """The one environment of all pages."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(f"conveyor.web.{each}") for each in ROOMS]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "age": age,
        "at": at,
        "count": count,
        "duration": duration,
        "ids": ids,
        "plain": plain,
        "lifetime": lifetime,
        "line": line,
        "link": link,
        "mark": states.mark,
        "segment": segment,
        "size": size,
    }
    made.globals |= {
        "asset": assets.url_of,
        "mark_of": states.mark_of,
        "plot": plots.plot,
        "query": query,
        "symbol": pieces.symbol,
        "commit_link": pieces.commit_link,
        "build_state": pieces.build_state,
        "version": __version__,
    }
    return made


def line(text: object, length: int = LINE) -> str:
    """Text that others wrote: one line, of at most so many characters, without what could turn or hide it."""
    return shortened(plain(str(text)), length)


def ids(text: str) -> str:
    """Text in which the ids of commits are as short as people tell them apart by."""
    return _COMMIT.sub(r"\1", text)


def segment(text: str) -> str:
    """A name as one segment of a URL's path."""
    return quote(text, safe="")


def query(**values: object) -> str:
    """The query of a URL, with its "?": only what is not empty; nothing for nothing."""
    kept = {name: str(value) for name, value in values.items() if value not in {None, ""}}
    return f"?{urlencode(kept)}" if kept else ""


@pass_context
def age(context: Context, moment: datetime | None, word: str = "ago") -> Markup:
    """How long ago something was; the moment itself is at hand."""
    if moment is None:
        return Markup("–")  # noqa: RUF001 - an en dash stands for nothing
    seconds = int((context["now"] - moment).total_seconds())
    told = f"in {told_seconds(-seconds)}" if seconds < 0 else f"{told_seconds(seconds)} {word}".strip()
    machine, human = _written(moment)
    # Of digits and our own words; put together by Markup it takes three times as long, and pages have dozens.
    return Markup(f'<time datetime="{machine}" title="{human}" data-age="{word}">{told}</time>')  # noqa: S704


def at(moment: datetime | None) -> Markup:
    """A moment, in UTC; scripts turn it into local time."""
    if moment is None:
        return Markup("–")  # noqa: RUF001
    machine, human = _written(moment)
    return _MOMENT % (machine, human, human)


def duration(seconds: float | None) -> str:
    """How long something took."""
    if seconds is None:
        return "–"  # noqa: RUF001
    if seconds < _SHORT:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def lifetime(seconds: object) -> str:
    """How long something that was made lasts."""
    return told_seconds(seconds) if isinstance(seconds, int) else NEVER


def size(number: int) -> str:
    """Bytes for people."""
    power = min(int(math.log(max(number, 1), _KIBI)), len(_UNITS) - 1)
    return f"{number / _KIBI**power:.1f} {_UNITS[power]}" if power else f"{number} B"


def count(things: int | Sequence[Any], noun: str) -> str:
    """So many of something."""
    number = things if isinstance(things, int) else len(things)
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def link(url: str, text: str = "") -> Markup:
    """A link to somewhere else, if it is one that a browser may follow; else its text."""
    public = public_url(url)
    shown = line(text or public)
    if not is_web(public):
        return escape(shown)
    return Markup('<a href="{}" rel="noreferrer nofollow">{}</a>').format(public, shown)


def is_web(url: str) -> bool:
    """Whether a URL is an http(s) one, with a host and without what could hide another."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url == plain(url) and " " not in url


def _written(moment: datetime) -> tuple[str, str]:
    """A moment in UTC, for machines and for people."""
    day, _, time = moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds").partition(" ")
    return f"{day}T{time}Z", f"{day} {time} UTC"
