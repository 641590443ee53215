"""What stays between the server and its operator: where its files are is nobody's business who asks over HTTP.

Errors and causes name files, because that helps at the command line. Here what the configuration names is told by its
name alone, in every page, document and problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import escape

if TYPE_CHECKING:
    from conveyor.config import Settings

# The database's URL has a user and a host in it.
_DATABASE = re.compile(r"\bpostgresql(?:\+\w+)?://[^\s\"'<>\\]+")
# Not within a URL or a longer path, and whole: /srv/a is not the beginning of /srv/ab.
_PLACE = r"(?<![\w/.:~-]){}(?:(/)|(?![\w/-]))"
# A folder such as /srv would be found in too much that has nothing to do with it.
_FEWEST_PARTS = 3


@dataclass(frozen=True)
class Discretion:
    """Leaves out of a text where the server's files are.

    Attributes:
        places: paths as texts, and what to call them instead: as a file or folder, and as the folder of a file.
    """

    places: Mapping[str, tuple[str, str]]

    def told(self, text: str) -> str:
        """The text without them."""
        for place, pattern in self._patterns.items():
            if place in text:  # that takes no time, which counts for pages
                text = pattern.sub(self._named(place), text)
        return _DATABASE.sub("postgresql", text) if "postgresql" in text else text

    def _named(self, place: str) -> Callable[[re.Match[str]], str]:
        alone, before = self.places[place]
        return lambda found: before if found[1] else alone

    @cached_property
    def _patterns(self) -> Mapping[str, re.Pattern[str]]:
        """Longer ones first: they may be in others."""
        return {
            place: re.compile(_PLACE.format(re.escape(place))) for place in sorted(self.places, key=len, reverse=True)
        }


def discretion_of(settings: Settings) -> Discretion:
    """What a site keeps to itself: its data, its configuration, files with secrets, and what lies beside these."""
    secrets = [*settings.web.hooks.values(), settings.web.oidc.client_secret_file if settings.web.oidc else None]
    named = [path for path in (settings.repos, settings.source, *secrets) if path is not None]
    found: dict[str, tuple[str, str]] = {}
    for path in named:
        found |= _written(path.parent, f"the folder of {path.name}", "") if _is_telling(path.parent) else {}
    for path in named:
        found |= _written(path, path.name, f"{path.name}/")
    return Discretion(found | _written(settings.data_dir, "data_dir", "data_dir/"))


def _is_telling(folder: Path) -> bool:
    return len(folder.parts) >= _FEWEST_PARTS


def _written(path: Path, alone: str, before: str) -> dict[str, tuple[str, str]]:
    """A path as it is, as it is in JSON, and as it is on a page."""
    return dict.fromkeys((str(path), json.dumps(str(path))[1:-1], str(escape(path))), (alone, before))
