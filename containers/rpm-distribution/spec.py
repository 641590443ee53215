"""Write the spec that makes all RPM packages of the distribution in one build."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from string import Template

from split import RpmPackage


def write_spec(packages: Iterable[RpmPackage], *, templates: Path, into: Path) -> Path:
    """Write the spec and the lists of files that it names.

    Args:
        packages: what it makes.
        templates: the folder of distribution.spec.in and package.spec.in.
        into: the folder that spec and lists are written to.

    Returns:
        The spec's path.
    """
    package_template = Template((templates / "package.spec.in").read_text(encoding="utf-8"))
    parts = [(templates / "distribution.spec.in").read_text(encoding="utf-8")]
    for package in packages:
        listed = into / f"{package.name}.files"
        listed.write_text("".join(f"{line}\n" for line in package.files), encoding="utf-8")
        parts.append(_section(package, package_template, listed))
    spec = into / "distribution.spec"
    spec.write_text("".join(parts), encoding="utf-8")
    return spec


def _section(package: RpmPackage, template: Template, files: Path) -> str:
    """The part of the spec for one package."""
    head = [
        *(["BuildArch: noarch"] if package.noarch else []),
        *(f"Requires: {name}" for name in package.requires),
        *(f"Provides: {provided}" for provided in package.provides),
    ]
    return template.substitute(
        name=package.name,
        version=package.version,
        release=package.release,
        summary=package.summary.replace("%", "%%"),
        head="\n".join(head),
        files=files,
    )
