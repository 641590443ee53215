"""Webhooks that come in: what they say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HookKind(StrEnum):
    """Who sends webhooks."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"  # and Forgejo
    PLAIN = "plain"  # whoever signs as the Standard Webhooks specification has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What a webhook says was pushed.

    Attributes:
        urls: the repository's URLs, as the forge has them. Hostile text.
        ref: the whole name of the ref; empty where it is not told.
        event: what happened, in the forge's words; empty for a push.
    """

    urls: tuple[str, ...]
    ref: str
    event: str = ""
