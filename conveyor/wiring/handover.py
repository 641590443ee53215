"""A configuration on its way from the daemon to its workers.

They get what the daemon has read and found good, not the names of files: these may hold a mistake by now.
"""

from __future__ import annotations

import base64
import copyreg
import io
import pickle
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings


def to_line(settings: Settings, repos: Repos) -> str:
    """Both as one line of ASCII. It may hold the store's password: for a pipe, never for a command line or a log."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump((settings, repos))
    return base64.b64encode(buffer.getvalue()).decode()


def from_line(line: str) -> tuple[Settings, Repos]:
    """Both from their line, which must be of the own parent: what is in it is trusted."""
    settings, repos = pickle.loads(base64.b64decode(line))  # noqa: S301
    return settings, repos


class _Pickler(pickle.Pickler):
    """Knows read-only mappings too."""

    dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda proxy: (_proxy, (dict(proxy),))}


def _proxy(mapping: Mapping[object, object]) -> MappingProxyType[object, object]:
    return MappingProxyType(mapping)
