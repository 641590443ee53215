"""The site's settings: conveyor.toml, then CONVEYOR_* variables, which win."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from conveyor.config.daemon import DaemonSettings, daemon_settings
from conveyor.config.files import is_file
from conveyor.config.mistakes import Mistake, explain, invalid
from conveyor.config.settings_schema import MirrorEntry, PollingEntry, Scratch, SettingsEntry, SigningEntry
from conveyor.config.settings_sources import Raw, from_environment, from_file
from conveyor.config.targets import DEFAULT_LIMITS, overridden
from conveyor.config.telling import read_command, read_mail, read_webhook
from conveyor.config.web import WebSettings, web_settings
from conveyor.model.channels import CommandHook, MailSettings, Webhook
from conveyor.model.mirror import Mirror
from conveyor.model.target import Limits
from conveyor.model.watch import Polling

SETTINGS_FILE = "conveyor.toml"
REPOS_FILE = "repos.yaml"
SITE_FOLDER = Path("/etc/conveyor")
KEYS_FOLDER = "gnupg"
ROOT_DATA = Path("/var/lib/conveyor")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSettings:
    """Keys that sign what is published; fingerprints are 40 hex digits, in capitals.

    Attributes:
        key: the key that signs; None where nothing is signed.
        also: further keys that sign metadata.
        retired: keys whose signatures clients still check.
        home: folder of the keys, absolute.
        passphrase_file: file of their passphrase, absolute; None where they have none.
        unsigned: whether the site has said that nothing is signed.
    """

    key: str | None
    also: tuple[str, ...]
    retired: tuple[str, ...]
    home: Path
    passphrase_file: Path | None
    unsigned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One site's settings.

    Attributes:
        source: the settings file that was read, absolute; None without one.
        repos: repos.yaml, absolute; it may not exist.
        data_dir: folder of all that Conveyor keeps, absolute.
        base_url: where the published tree (`data_dir`/repos) is served from, without "/" at its end.
        repository_name: what clients see the repositories named.
        database: SQLAlchemy's URL of the store. It may hold a password: left out where the settings are printed.
        git_timeout: what one git call may take, in seconds.
        rewrites: prefixes of git URLs, and what replaces them.
        mirror: the Debian mirror of targets that name none; None for the one that the host's own apt uses.
        sandbox_uid: the user and group id that builds run as.
        mock_user: the user that mock works as where it needs not be root.
        scratch: where the throw-away layers of builds live.
        base_max_age: seconds after which a base root is due to be made anew.
        buildroot_limit: bytes that roots, layers and downloads may take between builds.
        min_free_disk: bytes that must be free on the disk of `data_dir` for a build to start.
        limits: what one build may use where its target says nothing else.
        signing: keys that sign what is published.
        daemon: how the daemon works.
        web: how the status page and the API are served.
        polling: how repositories are polled.
        mirrors: where the published tree is copied to.
        mail: how mails are sent, and to whom; None where none are.
        webhooks: URLs that are told of events.
        commands: commands that are told of events.
        container_command: podman or docker, and its general options; None to find it out.
        container_run_flags: further options of its `run`; None to find them out.
    """

    source: Path | None
    repos: Path
    data_dir: Path
    base_url: str
    repository_name: str
    database: str = field(repr=False)
    git_timeout: int
    rewrites: Mapping[str, str]
    mirror: str | None
    sandbox_uid: int
    mock_user: str
    scratch: Scratch
    base_max_age: int
    buildroot_limit: int
    min_free_disk: int
    limits: Limits
    signing: SigningSettings
    daemon: DaemonSettings
    web: WebSettings
    polling: Polling
    mirrors: tuple[Mirror, ...]
    mail: MailSettings | None
    webhooks: tuple[Webhook, ...]
    commands: tuple[CommandHook, ...]
    container_command: tuple[str, ...] | None
    container_run_flags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a process runs, as far as settings depend on it.

    Attributes:
        folder: the current folder.
        site: the folder of the site's own configuration.
        superuser: whether the process runs as root.
    """

    folder: Path
    site: Path
    superuser: bool

    @classmethod
    def of_process(cls) -> Surroundings:
        """Those of this process."""
        return cls(folder=Path.cwd(), site=SITE_FOLDER, superuser=os.geteuid() == 0)


def load_settings(
    path: Path | None, environ: Mapping[str, str], *, surroundings: Surroundings | None = None
) -> Settings:
    """Read the site's settings.

    Args:
        path: the settings file; None to look for conveyor.toml beside repos.yaml, then in /etc/conveyor. It may be
            missing then.
        environ: the environment: CONVEYOR_* variables win over the file; an empty one counts as not set.
        surroundings: where the process runs; by default where this one does.

    Raises:
        ConfigurationInvalid: the file cannot be read, or there are mistakes; all of them are in the details.
    """
    around = surroundings or Surroundings.of_process()
    variables = from_environment(environ, around.folder)
    source = path or _find(variables, around)
    file = from_file(source) if source else Raw()
    raw = Raw(
        values=file.values | variables.values,
        origins=file.origins | variables.origins,
        mistakes=file.mistakes + variables.mistakes,
    )
    entry = _validated(raw)
    if raw.mistakes:
        in_file = source and any(mistake.line for mistake in raw.mistakes)
        raise invalid(source.name if source and in_file else "the environment", raw.mistakes)
    return _settings(entry, _data_dir(entry, environ, around), source, around)


def _find(variables: Raw, around: Surroundings) -> Path | None:
    repos = variables.values.get(("repos",))
    beside = Path(str(repos)).parent if repos else _default_repos(around).parent
    candidates = (beside / SETTINGS_FILE, around.site / SETTINGS_FILE)
    return next(filter(is_file, candidates), None)


def _default_repos(around: Surroundings) -> Path:
    candidates = (around.folder / REPOS_FILE, around.site / REPOS_FILE)
    return next(filter(is_file, candidates), candidates[0])


def _validated(raw: Raw) -> SettingsEntry:
    try:
        return SettingsEntry.model_validate(raw.nested())
    except ValidationError as error:
        for found in error.errors(include_url=False):
            raw.mistake(found["loc"], explain(found, SettingsEntry))
        return SettingsEntry()


def _data_dir(entry: SettingsEntry, environ: Mapping[str, str], around: Surroundings) -> Path:
    """The data directory; by default where the XDG Base Directory Specification keeps a user's data."""
    if entry.data_dir is not None:
        return Path(entry.data_dir)
    if around.superuser:
        return ROOT_DATA
    base, home = Path(environ.get("XDG_DATA_HOME", "")), Path(environ.get("HOME", ""))
    if not base.is_absolute():
        base = home / ".local" / "share"
    if not base.is_absolute():
        text = "is missing, and neither XDG_DATA_HOME nor HOME says where; would be right: /srv/conveyor"
        raise invalid("the environment", [Mistake(source="CONVEYOR_DATA_DIR", line=0, place="", text=text)])
    return base / "conveyor"


def _settings(entry: SettingsEntry, data_dir: Path, source: Path | None, around: Surroundings) -> Settings:
    return Settings(
        source=source.absolute() if source else None,
        repos=Path(entry.repos) if entry.repos else _default_repos(around),
        data_dir=data_dir,
        base_url=entry.base_url or (data_dir / "repos").as_uri(),
        repository_name=entry.repository_name,
        database=entry.database or f"sqlite:///{data_dir}/conveyor.db",
        git_timeout=entry.git_timeout,
        rewrites=MappingProxyType(dict(entry.rewrites)),
        mirror=entry.mirror,
        sandbox_uid=entry.sandbox_uid,
        mock_user=entry.mock_user,
        scratch=Scratch(entry.scratch),
        base_max_age=entry.base_max_age,
        buildroot_limit=entry.buildroot_limit,
        min_free_disk=entry.min_free_disk,
        limits=overridden(DEFAULT_LIMITS, entry.limits),
        signing=_signing(entry.signing, data_dir),
        daemon=daemon_settings(entry.daemon),
        web=web_settings(entry.web),
        polling=_polling(entry.polling),
        mirrors=tuple(_mirror(each) for each in entry.mirrors),
        mail=read_mail(entry.mail),
        webhooks=tuple(read_webhook(each) for each in entry.webhooks),
        commands=tuple(read_command(each) for each in entry.commands),
        container_command=_words(entry.container_command),
        container_run_flags=_words(entry.container_run_flags),
    )


def _signing(entry: SigningEntry, data_dir: Path) -> SigningSettings:
    return SigningSettings(
        key=entry.key,
        also=tuple(entry.also),
        retired=tuple(entry.retired),
        home=Path(entry.home) if entry.home else data_dir / KEYS_FOLDER,
        passphrase_file=Path(entry.passphrase_file) if entry.passphrase_file else None,
        unsigned=entry.unsigned,
    )


def _polling(entry: PollingEntry) -> Polling:
    return Polling(
        interval=entry.interval,
        at_once=entry.at_once,
        per_host=entry.per_host,
        time_limit=entry.time_limit,
        retry_start=entry.retry_start,
        retry_limit=entry.retry_limit,
    )


def _mirror(entry: MirrorEntry) -> Mirror:
    return Mirror(
        name=entry.name,
        destination=entry.destination,
        targets=tuple(entry.targets),
        port=entry.port,
        identity=entry.identity,
        password_file=entry.password_file,
        bandwidth=entry.bandwidth,
        stall_limit=entry.stall_limit,
        time_limit=entry.time_limit,
        delete=entry.delete,
    )


def _words(words: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(words)
