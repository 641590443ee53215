"""How the status page and the API are served at this site: the table [web] of conveyor.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from conveyor.config.daemon import listening_address
from conveyor.config.schema import Entry
from conveyor.config.values import WebUrl

SECTION = "web"
SWITCHES = {(SECTION, "open")}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How it is served.

    Attributes:
        listen: `host:port`.
        url: where people reach it, without "/" at its end; None for `http://` and where it listens.
        open: whether everybody may look; acting needs a token or a session in any case.
    """

    listen: str
    url: str | None
    open: bool


class WebEntry(Entry):
    """The settings as they are written."""

    listen: Annotated[str, AfterValidator(listening_address)] = Field("127.0.0.1:8080", examples=["127.0.0.1:8080"])
    url: WebUrl | None = Field(None, examples=["https://conveyor.example.org"])
    open: bool = Field(True, examples=["true"])


def web_settings(entry: WebEntry) -> WebSettings:
    """The settings that follow from what is written."""
    return WebSettings(listen=entry.listen, url=entry.url.rstrip("/") if entry.url else None, open=entry.open)
