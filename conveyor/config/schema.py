"""The shape of repos.yaml, as Pydantic models; conveyor/config/repos.py turns them into the model's values.

`examples` are what a mistake at a key shows as right.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from conveyor.config import urls, values
from conveyor.model.published import Retention

DEFAULT_GRACE = Retention().grace
REPOSITORIES = "[{name: baseos, url: 'https://...', key: 'https://...'}]"
# Keys of a target that only some builders look at.
BUILDER_KEYS = {
    "base_image": ("overlay",),
    "ccache": ("overlay",),
    "mock": ("mock",),
    "container": ("mock", "pbuilder"),
}


class Entry(BaseModel):
    """What every part of a configuration has in common: no unknown keys, and no guessing of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RetentionEntry(Entry):
    """Which snapshots stay."""

    newest: values.Count | None = Field(None, examples=["100"])
    younger_than: values.Duration | None = Field(None, examples=["30d"])
    grace: values.Duration = Field(DEFAULT_GRACE, examples=["1d"])

    @model_validator(mode="after")
    def says_what_stays(self) -> RetentionEntry:
        """A grace alone keeps nothing."""
        if self.newest is None and self.younger_than is None:
            raise ValueError("must have newest, younger_than or both; would be right: {newest: 100, younger_than: 30d}")
        return self


class Top(Entry):
    """The file as a whole."""

    retention: Any = Field(None, examples=["{newest: 100, younger_than: 30d}"])
    defaults: dict[str, Any] = Field({}, examples=["{branch: master, targets: [debian-13-amd64]}"])
    targets: dict[str, Any] = Field(examples=["{debian-13-amd64: {format: deb, suite: trixie}}"], min_length=1)
    packages: dict[str, Any] = Field(
        examples=["{nova: {upstream: 'https://opendev.org/openstack/nova'}}"], min_length=1
    )
    promotions: dict[str, Any] = Field({}, examples=["{tested: {votes: [smoke-tests]}}"])


class PromotionEntry(Entry):
    """What a promotion needs."""

    targets: list[values.TargetName] | None = Field(
        None, examples=["[debian-13-amd64, centos-10-x86_64]"], min_length=1
    )
    together: bool = Field(False, examples=["true"])
    votes: list[values.Job] = Field([], examples=["[smoke-tests]"])
    min_age: values.Duration | None = Field(None, examples=["2h"])
    succeeded_on: list[values.TargetName] = Field([], examples=["[debian-13-amd64, centos-10-x86_64]"])
    automatic: bool = Field(False, examples=["true"])


class Shared(Entry):
    """What a package may say, and `defaults` for all packages."""

    branch: values.Branch | None = Field(None, examples=["master"])
    version_scheme: values.Scheme | None = Field(None, examples=["pbr"])
    archetype: values.Archetype | None = Field(None, examples=["python"])
    targets: list[values.TargetName] | None = Field(None, examples=["[debian-13-amd64]"], min_length=1)
    maintainers: list[values.Maintainer] | None = Field(None, examples=["[Name <name@example.org>]"])
    component: values.Component | None = Field(None, examples=["libs"])
    commits: values.Commits | None = Field(None, examples=["newest"])
    max_waiting: values.Count | None = Field(None, examples=["5"])
    poll_interval: values.Duration | None = Field(None, examples=["1h"])
    cancel_superseded: bool | None = Field(None, examples=["true"])
    rebuild: values.RebuildWhen | None = Field(None, examples=["abi"])
    bootstrap: bool | None = Field(None, examples=["true"])


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
    component_repositories: bool = Field(False, examples=["true"])
    base_image: values.Image | None = Field(None, examples=["containers-storage:localhost/buildroot:latest"])
    ccache: bool = Field(False, examples=["true"])
    retention: Any = Field(None, examples=["{newest: 100, younger_than: 30d}"])  # conveyor/config/retention.py
    container: values.ImageName | None = Field(None, examples=["localhost/conveyor-pbuilder:latest"])
    builds_at_once: values.Count | None = Field(None, examples=["2"])

    @model_validator(mode="after")
    def keys_of_the_builder(self) -> TargetEntry:
        """No key that the builder would not look at."""
        for key, builders in BUILDER_KEYS.items():
            if key in self.model_fields_set and self.builder not in builders:
                raise ValueError(f"{key} says nothing to builder: {self.builder}; it is for {' and '.join(builders)}")
        return self


class OtherTarget(TargetEntry):
    """A target whose format is not known, and with it not what else it may say."""

    model_config = ConfigDict(extra="ignore")


class AptRepositoryEntry(Entry):
    """One more repository of a deb target."""

    name: values.RepositoryName = Field(examples=["extras"])
    url: values.RepositoryUrl = Field(examples=["https://mirror.example.org/extras"])
    suite: values.SuiteOrPath = Field(examples=["trixie"])
    components: list[values.Component] = Field([], examples=["[main]"])
    key: values.RepositoryKey = Field(examples=["https://example.org/KEY, or none where it is not signed"])


class DebTarget(TargetEntry):
    """A target that builds debs."""

    builder: values.DebBuilder = Field("overlay", examples=["overlay"])
    suite: values.Suite = Field(examples=["trixie"])
    mirror: values.WebUrl | None = Field(None, examples=["https://mirror.example.org/debian"])
    components: list[values.Component] = Field(["main"], examples=["[main]"], min_length=1)
    architecture: values.DebArchitecture = Field("amd64", examples=["amd64"])
    repositories: list[AptRepositoryEntry] = Field(
        [], examples=["[{name: extras, url: 'https://...', suite: trixie, components: [main], key: 'https://...'}]"]
    )

    contents: bool = Field(False, examples=["true"])
    valid_until: values.Duration | None = Field(None, examples=["7d"])

    @field_validator("repositories")
    @classmethod
    def names_differ(cls, entries: list[AptRepositoryEntry]) -> list[AptRepositoryEntry]:
        """Each repository has a name of its own."""
        check_names([entry.name for entry in entries])
        return entries


class RepositoryEntry(Entry):
    """One RPM repository."""

    name: values.RepositoryName = Field(examples=["baseos"])
    url: values.RepositoryUrl = Field(examples=["https://mirror.example.org/10/BaseOS/x86_64/os/"])
    key: values.RepositoryKey = Field(examples=["https://example.org/KEY, or none where packages are not signed"])


class MockEntry(Entry):
    """How mock is called. A text alone is its configuration."""

    config: values.MockConfig | None = Field(None, examples=["centos-stream-10-x86_64"])
    bootstrap: bool = Field(False, examples=["true"])
    package_manager: values.MockPackageManager | None = Field(None, examples=["dnf5"])
    isolation: values.MockIsolation = Field("simple", examples=["simple"])

    @model_validator(mode="before")
    @classmethod
    def read_text(cls, value: object) -> object:
        """A text becomes the key that it stands for."""
        return {"config": value} if isinstance(value, str) else value


class RpmTarget(TargetEntry):
    """A target that builds RPMs."""

    builder: values.RpmBuilder = Field("overlay", examples=["overlay"])
    release: values.Release = Field(examples=['"10"'])
    mock: MockEntry = Field(MockEntry(), examples=["centos-stream-10-x86_64"])
    repositories: list[RepositoryEntry] = Field([], examples=[REPOSITORIES], validate_default=True)
    database: values.FolderInRoot = Field("/usr/lib/sysimage/rpm", examples=["/usr/lib/sysimage/rpm"])
    architecture: values.RpmArchitecture = Field("x86_64", examples=["x86_64"])
    compression: values.IndexCompression = Field("gzip", examples=["zstd"])
    source_packages: values.SourcesPlace = Field("none", examples=["beside"])

    @field_validator("repositories")
    @classmethod
    def names_differ(cls, entries: list[RepositoryEntry], info: ValidationInfo) -> list[RepositoryEntry]:
        """Each has a name of its own, and only a mock configuration or an image can bring what they would."""
        mock = info.data.get("mock")
        told_elsewhere = mock is None or mock.config is not None or info.data.get("base_image") is not None
        if not entries and not told_elsewhere:
            raise PydanticKnownError("missing")
        check_names([entry.name for entry in entries])
        return entries


def check_names(names: list[str]) -> None:
    """Repositories of one target differ in their names."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two repositories are named {twice[0]!r}; would be right: names that differ")
