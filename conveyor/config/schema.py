"""The shape of repos.yaml, as Pydantic models; conveyor/config/repos.py turns them into the model's values.

`examples` are what a mistake at a key shows as right.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from conveyor.config import urls, values


class Entry(BaseModel):
    """What every part of a configuration has in common: no unknown keys, and no guessing of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Top(Entry):
    """The file as a whole."""

    defaults: dict[str, Any] = Field({}, examples=["{branch: master, targets: [debian-13-amd64]}"])
    targets: dict[str, Any] = Field(examples=["{debian-13-amd64: {format: deb, suite: trixie}}"], min_length=1)
    packages: dict[str, Any] = Field(
        examples=["{nova: {upstream: 'https://opendev.org/openstack/nova'}}"], min_length=1
    )


class Shared(Entry):
    """What a package may say, and `defaults` for all packages."""

    branch: values.Branch | None = Field(None, examples=["master"])
    version_scheme: values.Scheme | None = Field(None, examples=["pbr"])
    archetype: values.Archetype | None = Field(None, examples=["python"])
    targets: list[values.TargetName] | None = Field(None, examples=["[debian-13-amd64]"], min_length=1)
    maintainers: list[values.Maintainer] | None = Field(None, examples=["[Name <name@example.org>]"])
    component: values.Component | None = Field(None, examples=["libs"])


class PackagingEntry(Entry):
    """Where packaging lives: a git repository, or a folder. A text alone is either, by its look."""

    url: values.GitUrl | None = Field(None, examples=["https://example.org/packaging/nova.git"])
    branch: values.Branch = Field("master", examples=["master"])
    folder: values.PackagingPath | None = Field(None, examples=["specs/nova"])

    @model_validator(mode="before")
    @classmethod
    def read_text(cls, value: object) -> object:
        """A text becomes the key that it stands for."""
        if isinstance(value, str):
            return {"url" if urls.looks_like_url(value) else "folder": value}
        return value

    @model_validator(mode="after")
    def one_place(self) -> PackagingEntry:
        """Exactly one place."""
        if (self.url is None) == (self.folder is None):
            raise ValueError("must have either url or folder; would be right: packaging: specs/nova")
        return self


class EpochEntry(Entry):
    """The epoch of a package's versions in each format."""

    rpm: values.Epoch = Field(0, examples=["1"])
    deb: values.Epoch = Field(0, examples=["2"])


class PackageEntry(Shared):
    """One package."""

    upstream: values.GitUrl = Field(examples=["https://opendev.org/openstack/nova"])
    distribution: values.Distribution | None = Field(None, examples=["oslo.utils"])
    packaging: PackagingEntry | None = Field(None, examples=["specs/nova"])
    epoch: EpochEntry = Field(EpochEntry(), examples=["{deb: 2}"])


class LimitsEntry(Entry):
    """What one build may use; what is not given comes from the site's settings."""

    time: values.Duration | None = Field(None, examples=["30m"])
    memory: values.Size | None = Field(None, examples=["4G"])
    disk: values.Size | None = Field(None, examples=["8G"])
    processes: values.Count | None = Field(None, examples=["1000"])


class TargetEntry(Entry):
    """What targets of every format say."""

    format: values.FormatWord = Field(examples=["deb"])
    builder: values.BuilderWord = Field("overlay", examples=["overlay"])
    dist: values.Mark | None = Field(None, examples=["el10"])
    naming: values.Naming | None = Field(None, examples=["fedora"])
    base_packages: list[values.Requirement] | None = Field(None, examples=["[bash, rpm]"])
    build_packages: list[values.Requirement] | None = Field(None, examples=["[rpm-build]"])
    limits: LimitsEntry = Field(LimitsEntry(), examples=["{time: 30m, memory: 4G}"])
    install_check: bool = Field(True, examples=["true"])


class OtherTarget(TargetEntry):
    """A target whose format is not known, and with it not what else it may say."""

    model_config = ConfigDict(extra="ignore")


class DebTarget(TargetEntry):
    """A target that builds debs."""

    suite: values.Suite = Field(examples=["trixie"])
    mirror: values.WebUrl | None = Field(None, examples=["https://mirror.example.org/debian"])
    components: list[values.Component] = Field(["main"], examples=["[main]"], min_length=1)
    architecture: values.DebArchitecture = Field("amd64", examples=["amd64"])


class RepositoryEntry(Entry):
    """One RPM repository."""

    name: values.RepositoryName = Field(examples=["baseos"])
    url: values.RepositoryUrl = Field(examples=["https://mirror.example.org/10/BaseOS/x86_64/os/"])
    key: values.RepositoryKey = Field(examples=["https://example.org/KEY, or none where packages are not signed"])


class RpmTarget(TargetEntry):
    """A target that builds RPMs."""

    release: values.Release = Field(examples=['"10"'])
    repositories: list[RepositoryEntry] = Field(
        examples=["[{name: baseos, url: 'https://...', key: 'https://...'}]"], min_length=1
    )
    database: values.FolderInRoot = Field("/usr/lib/sysimage/rpm", examples=["/usr/lib/sysimage/rpm"])
    architecture: values.RpmArchitecture = Field("x86_64", examples=["x86_64"])

    @field_validator("repositories")
    @classmethod
    def names_differ(cls, entries: list[RepositoryEntry]) -> list[RepositoryEntry]:
        """Each repository has a name of its own."""
        names = [entry.name for entry in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two repositories are named {twice[0]!r}; would be right: names that differ")
        return entries
