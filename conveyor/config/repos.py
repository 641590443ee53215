"""repos.yaml: from the file to the model's values, judged as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from conveyor.config.checker import check, given, mapping
from conveyor.config.document import Document, read_document
from conveyor.config.mistakes import invalid, listing, nearest, show
from conveyor.config.promotions import read_promotion
from conveyor.config.retention import read_retention
from conveyor.config.schema import PackageEntry, PackagingEntry, Shared, Top
from conveyor.config.targets import DEFAULT_LIMITS, read_target
from conveyor.config.values import ARCHETYPES, SPECS, Context, check_folder
from conveyor.errors import UnknownName
from conveyor.model.package import (
    CommitPolicy,
    Following,
    Package,
    PackagingFolder,
    PackagingRepository,
    RebuildPolicy,
    VersionScheme,
)
from conveyor.model.promotion import PromotionPolicy
from conveyor.model.published import Retention
from conveyor.model.target import Format, Limits, Target

DEFAULT_BRANCH = "master"
DEFAULT_COMPONENT = "main"
FOLLOWING = ("commits", "max_waiting", "poll_interval", "cancel_superseded", "rebuild", "bootstrap")
# Debian Policy 5.6.1; rpm allows more.
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repos:
    """What repos.yaml says.

    Attributes:
        path: the file, absolute.
        targets: the targets by name, in the file's order.
        packages: the packages by name, in the file's order.
        retention: which snapshots stay, by the target's name.
        promotions: what promotions need, by name, in the file's order; empty where the file has none: then every
            name goes, and nothing is needed.
    """

    path: Path
    targets: Mapping[str, Target]
    packages: Mapping[str, Package]
    retention: Mapping[str, Retention] = field(default_factory=dict)
    promotions: Mapping[str, PromotionPolicy] = field(default_factory=dict)

    def package(self, name: str) -> Package:
        """A package by its name.

        Raises:
            UnknownName: there is none; the hint suggests the nearest and says where all are.
        """
        if name not in self.packages:
            raise self._unknown("package", name, self.packages)
        return self.packages[name]

    def target(self, name: str) -> Target:
        """A target by its name.

        Raises:
            UnknownName: there is none; the hint suggests the nearest and says where all are.
        """
        if name not in self.targets:
            raise self._unknown("target", name, self.targets)
        return self.targets[name]

    def promotion(self, name: str) -> PromotionPolicy:
        """The policy of a promotion; where the file has no promotions, one that needs nothing.

        Raises:
            UnknownName: the file has promotions, and this is none of them; the hint suggests the nearest.
        """
        if not self.promotions:
            return PromotionPolicy(name=name, targets=self.built_targets)
        if name not in self.promotions:
            raise self._unknown("promotion", name, self.promotions)
        return self.promotions[name]

    @property
    def built_targets(self) -> tuple[str, ...]:
        """Names of the targets that any package is built for, in the file's order."""
        return _built(self.targets, self.packages.values())

    def built_for(self, package: str) -> tuple[str, ...]:
        """Names of the targets that a package is built for; none for one that the file has no more."""
        return self.packages[package].targets if package in self.packages else ()

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> UnknownName:
        all_known = f"{kind}s of {self.path}: {listing(sorted(known))}"
        hint = " ".join(filter(None, [nearest(name, known), all_known]))
        return UnknownName(f"unknown {kind} {show(name)}", hint=hint)


def load_repos(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Repos:
    """Read repos.yaml.

    Args:
        path: the file. Relative paths in it start at its folder.
        limits: the site's limits, for targets that set none of their own.

    Raises:
        ConfigurationInvalid: it cannot be read, or has mistakes; all of them are in the details.
    """
    document = read_document(path)
    check(document, Top, document.data, ())
    raw_targets, raw_packages = mapping(document, "targets"), mapping(document, "packages")
    context = Context(folder=path.absolute().parent, targets=frozenset(raw_targets))
    defaults = check(document, Shared, mapping(document, "defaults"), ("defaults",), context) or Shared()
    targets = [read_target(document, name, raw, context, limits) for name, raw in raw_targets.items()]
    packages = [_package(document, name, raw, context, defaults) for name, raw in raw_packages.items()]
    retention = read_retention(document, raw_targets)
    known = _built([target.name for target in targets if target], filter(None, packages))
    raw_promotions = mapping(document, "promotions").items()
    promotions = [read_promotion(document, name, raw, context, known) for name, raw in raw_promotions]
    if document.mistakes:
        raise invalid(path.name, document.mistakes)
    return Repos(
        path=path.absolute(),
        targets=MappingProxyType({target.name: target for target in targets if target}),
        packages=MappingProxyType({package.name: package for package in packages if package}),
        retention=retention,
        promotions=MappingProxyType({policy.name: policy for policy in promotions if policy}),
    )


def _built(targets: Iterable[str], packages: Iterable[Package]) -> tuple[str, ...]:
    used = {target for package in packages for target in package.targets}
    return tuple(target for target in targets if target in used)


def _package(document: Document, name: str, raw: object, context: Context, defaults: Shared) -> Package | None:
    loc = ("packages", name)
    if not PACKAGE_NAME.fullmatch(name):
        text = f"{show(name)} is no package name (Debian Policy 5.6.1); would be right: python-novaclient"
        document.mistake(loc, text)
    if not given(raw, "targets") and not given(document.data.get("defaults"), "targets"):
        document.mistake((*loc, "targets"), "is missing, here and in defaults; would be right: [debian-13-amd64]")
    if isinstance(raw, dict) and not given(raw, "packaging"):
        _check_default_packaging(document, name, context)
    entry = check(document, PackageEntry, raw, loc, context)
    return _converted(name, entry, context, defaults) if entry else None


def _check_default_packaging(document: Document, name: str, context: Context) -> None:
    try:
        check_folder(f"{SPECS}/{name}", context.folder)
    except ValueError as error:
        document.mistake(("packages", name, "packaging"), str(error))


def _converted(name: str, entry: PackageEntry, context: Context, defaults: Shared) -> Package:
    # An archetype that is given as empty switches the default off.
    archetype = entry.archetype if "archetype" in entry.model_fields_set else defaults.archetype
    return Package(
        name=name,
        distribution=entry.distribution or name,
        upstream=entry.upstream,
        branch=entry.branch or defaults.branch or DEFAULT_BRANCH,
        packaging=_packaging(name, entry.packaging, context),
        archetype=context.folder / ARCHETYPES / archetype if archetype else None,
        targets=tuple(entry.targets or defaults.targets or ()),
        version_scheme=VersionScheme(entry.version_scheme or defaults.version_scheme or VersionScheme.PBR),
        maintainers=tuple(entry.maintainers or defaults.maintainers or ()),
        component=entry.component or defaults.component or DEFAULT_COMPONENT,
        epochs={Format(name): epoch for name, epoch in entry.epoch if epoch},
        following=_following(entry, defaults),
    )


def _following(entry: PackageEntry, defaults: Shared) -> Following:
    # What is given as empty switches the default off.
    said = {key: getattr(entry if key in entry.model_fields_set else defaults, key) for key in FOLLOWING}
    return Following(
        commits=CommitPolicy(said["commits"] or CommitPolicy.EVERY),
        max_waiting=said["max_waiting"],
        interval=said["poll_interval"],
        cancel_superseded=bool(said["cancel_superseded"]),
        rebuild=RebuildPolicy(said["rebuild"] or RebuildPolicy.NEVER),
        bootstrap=bool(said["bootstrap"]),
    )


def _packaging(name: str, entry: PackagingEntry | None, context: Context) -> PackagingFolder | PackagingRepository:
    if entry is None:
        return PackagingFolder(path=context.folder / SPECS / name)
    if entry.url is not None:
        return PackagingRepository(url=entry.url, branch=entry.branch)
    return PackagingFolder(path=context.folder / str(entry.folder))
