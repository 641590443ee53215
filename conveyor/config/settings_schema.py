"""The shape of the site's settings, as Pydantic models; conveyor/config/settings.py reads them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from conveyor.config import urls
from conveyor.config.daemon import DaemonEntry
from conveyor.config.mistakes import show
from conveyor.config.schema import Entry, LimitsEntry
from conveyor.config.telling_schema import CommandEntry, MailEntry, WebhookEntry
from conveyor.config.values import (
    Argument,
    Duration,
    Size,
    WebUrl,
    WholePath,
    matching,
    one_of,
    one_of_each,
    whole_path,
)
from conveyor.config.web import WebEntry
from conveyor.model.mirror import Mirror, Transport
from conveyor.model.watch import Polling

DEFAULT_POLLING = Polling()


class Scratch(StrEnum):
    """Where the throw-away layers of builds live."""

    AUTO = "auto"  # in memory where there is enough of it, else on disk
    MEMORY = "memory"
    DISK = "disk"


def data_folder(text: str) -> str:
    """A folder that roots are made in.

    Raises:
        ValueError: it is no absolute path, or has a character that apt takes in no folder of a root: mmdebstrap(1).
    """
    found = re.search('[:"]', whole_path(text))
    if found:
        raise ValueError(
            f"{show(text)} has {show(found[0])} in it, which apt cannot handle; would be right: /srv/conveyor"
        )
    return text


def served_at(text: str) -> str:
    """A base URL, without "/" at its end."""
    return urls.web_url(text).rstrip("/")


def store_url(text: str) -> str:
    """SQLAlchemy's URL of a database. The mistake does not repeat it: it may hold a password.

    Raises:
        ValueError: it names no database that Conveyor knows.
    """
    if not text.isprintable() or not re.match(r"(sqlite|postgresql)(\+[a-z0-9]+)?://", text):
        right = "would be right: sqlite:////srv/conveyor/conveyor.db or postgresql://host/conveyor"
        raise ValueError(f"is no database URL; {right}")
    return text


def rewrite_prefix(text: str) -> str:
    """The beginning of git URLs.

    Raises:
        ValueError: what begins so is no git URL.
    """
    urls.git_url(f"{text}x", "would be right: a prefix such as https://opendev.org/ or file:///srv/mirrors/")
    return text


def mirror_place(text: str) -> str:
    """Where a mirror is, as rsync writes it; never an option of it, and never a password.

    Raises:
        ValueError: it is no such place.
    """
    if not (_DAEMON.fullmatch(text) or _SSH.fullmatch(text)) and not (text.startswith("/") and text.isprintable()):
        right = "would be right: rsync://mirror.example.org/module, user@mirror.example.org:/srv/trunk, or /srv/mirror"
        raise ValueError(f"{show(text)} is no destination; {right}")
    return text


def key_path(text: str) -> str:
    """An absolute path that stands on ssh's command line, which rsync splits at blanks.

    Raises:
        ValueError: it is none.
    """
    if re.search(r"[\s'\"]", whole_path(text)):
        raise ValueError(f"{show(text)} has a blank or a quote in it; would be right: /etc/conveyor/mirror-key")
    return text


_HOST = r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])"
_DAEMON = re.compile(rf"rsync://{_HOST}(?::[0-9]+)?/[A-Za-z0-9_][^\s\x00-\x1f]*")
_SSH = re.compile(rf"{_HOST}:(?!//|[:-])[A-Za-z0-9_./~+@-]+")

# Each is a process, and a thread that waits for it.
AtOnce = Annotated[int, Field(ge=1, le=256)]
Destination = Annotated[str, AfterValidator(mirror_place)]
KeyPath = Annotated[str, AfterValidator(key_path)]
Prefix = Annotated[str, AfterValidator(rewrite_prefix)]
DataFolder = Annotated[str, AfterValidator(data_folder)]


Fingerprint = Annotated[
    str,
    matching(r"[0-9A-Fa-f]{40}", "fingerprint of 40 hex digits", "70773E7B6A164A26E5028F0DF9BCDE428CBFF8F6"),
    AfterValidator(str.upper),
]


class SigningEntry(Entry):
    """Keys that sign what is published."""

    key: Fingerprint | None = Field(None, examples=["70773E7B6A164A26E5028F0DF9BCDE428CBFF8F6"])
    also: list[Fingerprint] = Field([], examples=['["70773E7B6A164A26E5028F0DF9BCDE428CBFF8F6"]'])
    retired: list[Fingerprint] = Field([], examples=['["70773E7B6A164A26E5028F0DF9BCDE428CBFF8F6"]'])
    home: WholePath | None = Field(None, examples=["/srv/conveyor/gnupg"])
    passphrase_file: WholePath | None = Field(None, examples=["/etc/conveyor/passphrase"])
    unsigned: bool = Field(False, examples=["true"])

    @model_validator(mode="after")
    def _one_way(self) -> SigningEntry:
        if self.unsigned and self.key:
            raise ValueError("'unsigned' and 'key' exclude each other")
        if self.key is None and (self.also or self.retired):
            raise ValueError("'also' and 'retired' need a 'key'")
        return self


class PollingEntry(Entry):
    """How repositories are polled."""

    interval: Duration = Field(DEFAULT_POLLING.interval, examples=["5m"])
    at_once: AtOnce = Field(DEFAULT_POLLING.at_once, examples=["8"])
    per_host: AtOnce = Field(DEFAULT_POLLING.per_host, examples=["4"])
    time_limit: Duration = Field(DEFAULT_POLLING.time_limit, examples=["1m"])
    retry_start: Duration = Field(DEFAULT_POLLING.retry_start, examples=["1m"])
    retry_limit: Duration = Field(DEFAULT_POLLING.retry_limit, examples=["1h"])

    @model_validator(mode="after")
    def _grows(self) -> PollingEntry:
        if self.retry_limit < self.retry_start:
            raise ValueError("'retry_limit' is less than 'retry_start'; would be right: retry_limit = \"1h\"")
        return self


class MirrorEntry(Entry):
    """A place that the published tree is copied to."""

    name: Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "mirror name", "eu")] = Field(examples=["eu"])
    destination: Destination = Field(examples=["rsync://mirror.example.org/module"])
    targets: list[Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._+-]*", "target name", "debian-13-amd64")]] = Field(
        [], examples=['["debian-13-amd64"]']
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, examples=["873"])
    identity: KeyPath | None = Field(None, examples=["/etc/conveyor/mirror-key"])
    password_file: WholePath | None = Field(None, examples=["/etc/conveyor/mirror-password"])
    bandwidth: Size | None = Field(None, examples=["10M"])
    stall_limit: Duration = Field(5 * 60, examples=["5m"])
    time_limit: Duration = Field(12 * 3600, examples=["12h"])
    delete: bool = Field(True, examples=["true"])

    @model_validator(mode="after")
    def _fits(self) -> MirrorEntry:
        transport = Mirror(name=self.name, destination=self.destination).transport
        wanted = {
            "identity": (self.identity, {Transport.SSH}),
            "password_file": (self.password_file, {Transport.DAEMON}),
            "port": (self.port, {Transport.SSH, Transport.DAEMON}),
        }
        for key, (value, transports) in wanted.items():
            if value is not None and transport not in transports:
                raise ValueError(f"{key!r} has no meaning for {show(self.destination)}; would be right: without it")
        return self


class SettingsEntry(Entry):
    """All settings; None where the default follows from others or from the surroundings."""

    data_dir: DataFolder | None = Field(None, examples=["/srv/conveyor"])
    base_url: Annotated[str, AfterValidator(served_at)] | None = Field(None, examples=["https://trunk.example.org"])
    repos: WholePath | None = Field(None, examples=["/etc/conveyor/repos.yaml"])
    repository_name: Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "repository name", "conveyor")] = Field(
        "conveyor", examples=["conveyor"]
    )
    database: Annotated[str, AfterValidator(store_url)] | None = Field(
        None, examples=["sqlite:////srv/conveyor/conveyor.db"]
    )
    git_timeout: Duration = Field(30 * 60, examples=["30m"])
    rewrites: dict[Prefix, Prefix] = Field({}, examples=['"https://opendev.org/" to "file:///srv/mirrors/"'])
    mirror: WebUrl | None = Field(None, examples=["https://mirror.example.org/debian"])
    # 0 is root, and -1, 2^32-1, means "unchanged" to chown(2) and setuid(2).
    sandbox_uid: Annotated[int, Field(ge=1, le=2**32 - 2)] = Field(64123, examples=["64123"])
    # What useradd(8) of shadow-utils takes by default.
    mock_user: Annotated[str, matching(r"[a-z_][a-z0-9_-]*", "user name", "conveyor-mock")] = Field(
        "conveyor-mock", examples=["conveyor-mock"]
    )
    scratch: Annotated[str, one_of(Scratch, "place for scratch")] = Field("auto", examples=["auto"])
    base_max_age: Duration = Field(7 * 86400, examples=["7d"])
    buildroot_limit: Size = Field(40 * 2**30, examples=["40G"])
    min_free_disk: Size = Field(2**30, examples=["1G"])
    limits: LimitsEntry = Field(LimitsEntry(), examples=["time, memory, disk and processes"])
    signing: SigningEntry = Field(SigningEntry(), examples=["key, home"])
    daemon: DaemonEntry = Field(DaemonEntry(), examples=["workers, retries"])
    web: WebEntry = Field(WebEntry(), examples=["listen, url"])
    polling: PollingEntry = Field(PollingEntry(), examples=["interval, at_once and per_host"])
    mirrors: Annotated[list[MirrorEntry], AfterValidator(one_of_each)] = Field([], examples=["[[mirrors]]"])
    mail: MailEntry = Field(MailEntry(), examples=["host, sender, operators"])
    webhooks: Annotated[list[WebhookEntry], AfterValidator(one_of_each)] = Field([], examples=["[[webhooks]]"])
    commands: Annotated[list[CommandEntry], AfterValidator(one_of_each)] = Field([], examples=["[[commands]]"])
    container_command: list[Argument] | None = Field(
        None, examples=['["podman", "--cgroup-manager=cgroupfs", "--runtime", "runc"]'], min_length=1
    )
    container_run_flags: list[Argument] | None = Field(None, examples=['["--ulimit", "nofile=1024:1024"]'])
