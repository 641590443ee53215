"""How the status page and the API are served at this site: the table [web] of conveyor.toml."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from conveyor.config.daemon import listening_address
from conveyor.config.mistakes import show
from conveyor.config.schema import Entry
from conveyor.config.values import Duration, WebUrl

SECTION = "web"
SWITCHES = {(SECTION, "open")}
WRITTEN_AS_JSON = {(SECTION, "trusted_proxies")}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How it is served.

    Attributes:
        listen: `host:port`.
        url: where people reach it, without "/" at its end; None for `http://` and where it listens.
        open: whether everybody may look; acting needs a token or a session in any case.
        trusted_proxies: networks of the web servers in front of it, which say where requests come from.
        session_time: seconds after which people have to sign in again.
    """

    listen: str
    url: str | None
    open: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    session_time: int


def network(text: str) -> str:
    """An IP address, or a network of them.

    Raises:
        ValueError: it is none.
    """
    try:
        return str(ip_network(text))
    except ValueError as error:
        right = "would be right: 127.0.0.1, 10.0.0.0/8 or 2001:db8::/32"
        raise ValueError(f"{show(text)} is no address and no network; {right}") from error


class WebEntry(Entry):
    """The settings as they are written."""

    listen: Annotated[str, AfterValidator(listening_address)] = Field("127.0.0.1:8080", examples=["127.0.0.1:8080"])
    url: WebUrl | None = Field(None, examples=["https://conveyor.example.org"])
    open: bool = Field(True, examples=["true"])
    trusted_proxies: list[Annotated[str, AfterValidator(network)]] = Field([], examples=['["127.0.0.1"]'])
    session_time: Duration = Field(12 * 3600, examples=["12h"])


def web_settings(entry: WebEntry) -> WebSettings:
    """The settings that follow from what is written."""
    return WebSettings(
        listen=entry.listen,
        url=entry.url.rstrip("/") if entry.url else None,
        open=entry.open,
        trusted_proxies=tuple(map(ip_network, entry.trusted_proxies)),
        session_time=entry.session_time,
    )
