"""Whose fault it is that packages cannot be installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.errors import CommandFailed, NotInstallable, SandboxUnusable
from conveyor.ports import Place, RootCommand
from tests.support.roots import fill_root, need_sandbox
from tests.support.touched import Site
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path) -> Site:
    need_sandbox()
    fill_root(tmp_path / "root")
    (tmp_path / "nova.deb").write_text("package")
    return Site(tmp_path)


def check(site: Site, folder: Path, *requirements: str) -> None:
    site.builder.check_install(TARGET, [folder / "nova.deb"], requirements, None, site.log)


def test_a_package_that_fits(site: Site, tmp_path: Path) -> None:
    check(site, tmp_path, "gcc")
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_missing_dependency_is_the_packages_fault(site: Site, tmp_path: Path) -> None:
    with pytest.raises(NotInstallable, match="no missing-lib"):
        check(site, tmp_path, "missing-lib")


def test_a_package_that_the_package_manager_refuses_is_at_fault(site: Site, tmp_path: Path) -> None:
    site.manager.error = CommandFailed("packages could not be installed", cause="its script failed")
    with pytest.raises(NotInstallable, match="its script failed"):
        check(site, tmp_path)  # there is no /packages in the base to copy into


def test_a_package_of_the_distribution_that_fails_is_not_its_fault(site: Site, tmp_path: Path) -> None:
    site.manager.error = CommandFailed("packages could not be installed", cause="libc6: its script failed")
    with pytest.raises(CommandFailed, match="libc6"):
        check(site, tmp_path, "missing-lib")


def test_a_sandbox_that_cannot_start_is_not_its_fault(site: Site, tmp_path: Path) -> None:
    stack = site.satisfy("gcc")
    step = RootCommand(place=Place.ROOT, argv=("/no/such/program",))
    site.manager.file_steps = (step,)
    with pytest.raises(SandboxUnusable):
        check(site, tmp_path, "gcc")
    assert site.store.load(stack.layers) == stack
