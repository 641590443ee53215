"""What a build left, and what of it is refused or told before anything is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.errors import ForeignPackage, ResultsInvalid
from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Build, Outcome
from conveyor.pipeline import check
from tests.fakes.store_samples import artifact
from tests.support.workshop import Workshop, new_world


def refused(shop: Workshop, package: str, recipe: str) -> Build:
    """A build of a package whose recipe has these lines too, and that fails for them."""
    shop.world.packaging.recipes[package] += f"{recipe}\n"
    build = shop.build(package).build
    assert build.outcome is Outcome.FAILED
    assert build.cause is not None
    assert build.cause.stage == "check"
    assert "\n" not in build.cause.summary
    assert shop.world.store.entries(build.target) == ()
    return build


@pytest.mark.parametrize(
    ("recipe", "kind", "summary"),
    [
        ("smuggle oslo_{evr}.fake x", "ForeignPackage", "oslo_1.1-1.fake: the recipe does not make it"),
        ("make nova-all_{evr}.fake device /dev/sda", "ResultsInvalid", "_1.1-1.fake has a device node: /dev/sda"),
        ("make recipe x", "ResultsInvalid", "the build made 2 files for recipe"),
        ("make x.fake x\nmake x_.fake x", "ResultsInvalid", "the build made 2 files for x  (all)"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, recipe: str, kind: str, summary: str) -> None:
    build = refused(Workshop(new_world(tmp_path, "nova")), "nova", recipe)
    assert build.cause is not None
    assert build.cause.kind == kind
    assert build.cause.hint
    assert summary in build.cause.summary


def test_what_no_repository_can_list_never_gets_into_one(tmp_path: Path) -> None:
    """It would stop the snapshots of every package of the target."""
    build = refused(Workshop(new_world(tmp_path, "nova")), "nova", "make nova-all_{evr}.fake unlistable")
    assert build.cause is not None
    assert "a repository can hold" in build.cause.summary


def test_files_with_rights_are_told_in_the_log(tmp_path: Path) -> None:
    shop = Workshop(new_world(tmp_path, "nova"))
    shop.world.packaging.recipes["nova"] += "make nova-all_{evr}.fake setuid /bin/\x1bsu\n"
    build = shop.build("nova").build
    assert build.outcome is Outcome.SUCCEEDED
    told = (
        "note: nova-all_1.1-1.fake has a file with rights of its own (setuid, setgid or capabilities): '/bin/\\x1bsu'"
    )
    assert told in shop.log(build)


class TestPublishers:
    def test_a_name_that_another_package_publishes_is_refused(self, tmp_path: Path) -> None:
        shop = Workshop(new_world(tmp_path, "nova", "oslo"))
        assert shop.build("oslo").build.outcome is Outcome.SUCCEEDED
        shop.world.packaging.recipes["nova"] += "make oslo_99.fake x\n"
        build = shop.build("nova").build
        assert build.cause is not None
        assert (build.cause.kind, build.outcome) == ("ForeignPackage", Outcome.FAILED)
        assert build.cause.summary.endswith("belongs to another: oslo is published by oslo")
        assert "take it out of the other's packaging" in build.cause.hint

    def test_it_is_free_once_the_other_has_let_go_of_it(self, tmp_path: Path) -> None:
        shop = Workshop(new_world(tmp_path, "nova", "oslo"))
        shop.world.packaging.recipes["oslo"] += "make common_{evr}.fake x\n"
        assert shop.build("oslo").build.outcome is Outcome.SUCCEEDED
        shop.world.packaging.recipes["oslo"] = "make oslo_{evr}.fake x\n"
        shop.push("oslo", "Second")
        assert shop.build("oslo").build.outcome is Outcome.SUCCEEDED
        shop.world.packaging.recipes["nova"] += "make common_9-1.fake x\n"
        assert shop.build("nova").build.outcome is Outcome.SUCCEEDED

    def test_it_is_free_when_the_other_is_out_of_the_configuration(self, tmp_path: Path) -> None:
        world = new_world(tmp_path, "nova", "oslo")
        assert Workshop(world).build("oslo").build.outcome is Outcome.SUCCEEDED
        world.packaging.recipes["nova"] += "make oslo_99-1.fake x\n"
        assert Workshop(world, configured=["nova"]).build("nova").build.outcome is Outcome.SUCCEEDED


def test_a_thousand_files_are_enough() -> None:
    check.check_count(range(1000))
    with pytest.raises(ResultsInvalid, match="more than 1000 files"):
        check.check_count(range(1001))


def test_a_build_makes_no_source_package() -> None:
    made = artifact("oslo_99.dsc", kind=ArtifactKind.SOURCE)
    with pytest.raises(ResultsInvalid, match=r"a source package, oslo_99\.dsc"):
        check.check_kinds([artifact(), made])


def test_of_many_foreign_packages_a_few_are_listed() -> None:
    with pytest.raises(ForeignPackage) as caught:
        check.check_own([f"line {number}" for number in range(50)])
    assert caught.value.cause == "line 0"
    assert len(caught.value.details) == check.LISTED
