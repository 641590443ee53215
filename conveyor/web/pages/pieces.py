"""Pieces that pages have dozens or hundreds of. Put together by macros they would take several times as long.

What others can name is escaped, and so is what only might be theirs.
"""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from markupsafe import Markup, escape

from conveyor.model.commit import Commit
from conveyor.model.text import plain, shortened
from conveyor.web.pages.states import Mark

_EXTENDED = 12


@cache
def symbol(of: Mark) -> Markup:
    """A mark's shape, which symbols.html has."""
    shape = f'<svg class="symbol {of.tone}" aria-hidden="true" focusable="false"><use href="#s-{of.symbol}"/></svg>'
    return Markup(shape)  # noqa: S704 - marks are ours


def build_state(number: int, mark: Mark) -> Markup:
    """How a build stands, and the way to its page."""
    link = f'<a href="/builds/{number}" class="state {mark.tone}">{symbol(mark)} {mark.word}</a>'
    return Markup(link)  # noqa: S704 - a number, and marks are ours


def commit_link(commit: Commit) -> Markup:
    """A commit by the beginning of its id, and the way to its page, which commits outside of the trunk do not have."""
    id_, short = escape(commit.id), escape(commit.short)
    if not commit.trunk:
        told = f'<span class="mono" title="{id_}, not part of the trunk">{short}</span>'
    else:
        extended = f"_{escape(shortened(plain(commit.extended), _EXTENDED))}" if commit.extended else ""
        href = f"/commits/{quote(commit.id, safe='')}"
        told = f'<a class="mono" href="{href}" title="{id_}">{short}{extended}</a>'
    return Markup(told)  # noqa: S704 - all of it is escaped
