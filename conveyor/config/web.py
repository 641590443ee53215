"""How the status page and the API are served at this site: the table [web] of conveyor.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from conveyor.config.daemon import listening_address
from conveyor.config.mistakes import show
from conveyor.config.schema import Entry
from conveyor.config.values import Duration, WebUrl, WholePath, matching, one_of
from conveyor.model.access import Permission, Permissions
from conveyor.model.hooks import HookKind

SECTION = "web"
SWITCHES = {(SECTION, "open")}
WRITTEN_AS_JSON = {(SECTION, "trusted_proxies"), (SECTION, "oidc"), (SECTION, "hooks")}


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An OpenID Connect provider that people sign in with.

    Attributes:
        issuer: its URL, as it calls itself.
        client_id: what it calls this site.
        client_secret_file: file of the secret that this site shows it, absolute; None where it has none.
        scopes: what is asked of it about people.
        name_claim: what it calls the name of a person.
        groups_claim: what it calls the groups of a person.
        groups: what members of groups may do.
        allowed_groups: whose members may sign in; empty for all, as far as `allowed_users` is.
        allowed_users: who may sign in whatever the groups; empty for all, as far as `allowed_groups` is.
    """

    issuer: str
    client_id: str
    client_secret_file: Path | None
    scopes: tuple[str, ...]
    name_claim: str
    groups_claim: str
    groups: Mapping[str, Permissions]
    allowed_groups: frozenset[str]
    allowed_users: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How it is served.

    Attributes:
        listen: `host:port`.
        url: where people reach it, without "/" at its end; None for `http://` and where it listens.
        open: whether everybody may look; acting needs a token or a session in any case.
        trusted_proxies: networks of the web servers in front of it, which say where requests come from.
        session_time: seconds after which people have to sign in again.
        rate_limit: requests a minute that the API takes from each token, user or address; 0 for any number.
        oidc: the provider that people sign in with; None for none.
        dlrn_target: name of the target that DLRN's API below /api/ is about; None for the first one of RPMs.
        hooks: files with the secrets of webhooks that are taken, absolute, by who sends them.
    """

    listen: str
    url: str | None
    open: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    session_time: int
    rate_limit: int
    oidc: OidcSettings | None
    dlrn_target: str | None
    hooks: Mapping[HookKind, Path]


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


def issuer_url(text: str) -> str:
    """The URL of a provider: what it says must not be changed on its way.

    Raises:
        ValueError: it is not over https, but for this machine.
    """
    parts = urlsplit(text)
    near = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme != "https" and not near:
        raise ValueError(f"{show(text)} is not over https; would be right: https://id.example.org")
    return text


class OidcEntry(Entry):
    """An OpenID Connect provider as it is written."""

    issuer: Annotated[WebUrl, AfterValidator(issuer_url)] = Field(examples=["https://id.example.org"])
    client_id: str = Field(min_length=1, examples=["conveyor"])
    client_secret_file: WholePath | None = Field(None, examples=["/etc/conveyor/oidc-secret"])
    scopes: list[Annotated[str, matching(r"[!#-\[\]-~]+", "scope", "groups")]] = Field(
        ["openid", "profile", "email", "groups"], examples=['["openid", "profile"]']
    )
    name_claim: str = Field("preferred_username", min_length=1, examples=["preferred_username"])
    groups_claim: str = Field("groups", min_length=1, examples=["groups"])
    groups: dict[str, list[Annotated[str, one_of(Permission, "permission")]]] = Field(
        {}, examples=['release = ["promote"]']
    )
    allowed_groups: list[str] = Field([], examples=['["packagers"]'])
    allowed_users: list[str] = Field([], examples=['["ada"]'])


class WebEntry(Entry):
    """The settings as they are written."""

    listen: Annotated[str, AfterValidator(listening_address)] = Field("127.0.0.1:8080", examples=["127.0.0.1:8080"])
    url: WebUrl | None = Field(None, examples=["https://conveyor.example.org"])
    open: bool = Field(True, examples=["true"])
    trusted_proxies: list[Annotated[str, AfterValidator(network)]] = Field([], examples=['["127.0.0.1"]'])
    session_time: Duration = Field(12 * 3600, examples=["12h"])
    rate_limit: int = Field(1200, ge=0, le=1_000_000, examples=["1200"])
    oidc: OidcEntry | None = Field(None, examples=["[web.oidc]"])
    dlrn_target: str | None = Field(None, examples=["centos-10-x86_64"])
    hooks: dict[Annotated[str, one_of(HookKind, "kind of webhook")], WholePath] = Field(
        {}, examples=['github = "/etc/conveyor/github-secret"']
    )

    @model_validator(mode="after")
    def _found_again(self) -> WebEntry:
        if self.oidc and not self.url:
            raise ValueError("'oidc' needs a 'url', to which the provider sends people back")
        return self


def web_settings(entry: WebEntry) -> WebSettings:
    """The settings that follow from what is written."""
    return WebSettings(
        listen=entry.listen,
        url=entry.url.rstrip("/") if entry.url else None,
        open=entry.open,
        trusted_proxies=tuple(map(ip_network, entry.trusted_proxies)),
        session_time=entry.session_time,
        rate_limit=entry.rate_limit,
        oidc=_oidc(entry.oidc) if entry.oidc else None,
        dlrn_target=entry.dlrn_target,
        hooks=MappingProxyType({HookKind(kind): Path(path) for kind, path in entry.hooks.items()}),
    )


def _oidc(entry: OidcEntry) -> OidcSettings:
    return OidcSettings(
        issuer=entry.issuer,
        client_id=entry.client_id,
        client_secret_file=Path(entry.client_secret_file) if entry.client_secret_file else None,
        scopes=tuple(dict.fromkeys(["openid", *entry.scopes])),
        name_claim=entry.name_claim,
        groups_claim=entry.groups_claim,
        groups=MappingProxyType({name: frozenset(map(Permission, words)) for name, words in entry.groups.items()}),
        allowed_groups=frozenset(entry.allowed_groups),
        allowed_users=frozenset(entry.allowed_users),
    )
