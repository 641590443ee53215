"""Which commit is built, and its packaging as it will be built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.errors import CommitSuperseded, RevisionMissing, UpstreamEmpty, UpstreamUnreachable
from conveyor.model.packaging import PackagingFile
from conveyor.model.target import Format
from conveyor.pipeline.poll import Wanted
from conveyor.pipeline.render import render, write
from tests.support.workshop import TARGET, Workshop, new_world, package_of


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(new_world(tmp_path, "nova"))


class TestPoll:
    def test_the_newest_commit_of_the_followed_branch(self, workshop: Workshop) -> None:
        workshop.commit("nova")
        sha = workshop.push("nova", "Second")
        commit = workshop.commit("nova")
        assert (commit.upstream.sha, commit.trunk, commit.extended) == (sha, True, "")
        assert commit.packaging_sha == workshop.world.packaging.load(package_of("nova")).sha

    def test_a_revision_that_is_asked_for(self, workshop: Workshop) -> None:
        first = workshop.commit("nova").upstream.sha
        workshop.push("nova", "Second")
        assert workshop.commit("nova", Wanted(revision=first[:8])).upstream.sha == first

    @pytest.mark.parametrize("wanted", [Wanted(publish=False), Wanted(local=Path("/x"))])
    def test_what_is_not_to_be_published_is_no_part_of_the_trunk(self, workshop: Workshop, wanted: Wanted) -> None:
        workshop.git.worktrees[Path("/x")] = workshop.commit("nova").upstream
        commit = workshop.commit("nova", wanted)
        assert (commit.trunk, commit.extended) == (False, "local")

    def test_a_revision_that_does_not_exist(self, workshop: Workshop) -> None:
        with pytest.raises(RevisionMissing):
            workshop.commit("nova", Wanted(revision="nothing"))

    def test_an_upstream_that_cannot_be_fetched(self, workshop: Workshop) -> None:
        with pytest.raises(UpstreamUnreachable):
            workshop.commit("nowhere")

    def test_an_upstream_without_a_commit(self, tmp_path: Path) -> None:
        world = new_world(tmp_path, "nova")
        upstream = world.upstreams[package_of("nova").upstream]
        upstream.delete_branch("master")
        with pytest.raises(UpstreamEmpty):
            Workshop(world).commit("nova")


class TestRender:
    def test_the_input_is_all_of_the_commit(self, workshop: Workshop) -> None:
        commit = workshop.commit("nova")
        rendered = render(workshop.parts, package_of("nova"), TARGET, commit)
        given = rendered.render_input
        assert (given.commit, given.source_files, given.changelog_at) == (
            (commit, ("README",), commit.upstream.committed_at)
        )
        assert (given.version.evr, given.version.upstream) == ("1.1-1", "1.1")
        assert rendered.files[0].content == b"say hello\nmake nova_1.1-1.fake content\n"

    def test_the_packages_epoch_is_that_of_the_format(self, workshop: Workshop) -> None:
        package = replace(package_of("nova"), epochs={Format.DEB: 2, Format.RPM: 1})
        rendered = render(workshop.parts, package, TARGET, workshop.commit("nova"))
        assert rendered.render_input.version.evr == "2:1.1-1"

    def test_packaging_of_another_state_is_refused(self, workshop: Workshop) -> None:
        commit = workshop.commit("nova")
        workshop.world.packaging.recipes["nova"] += "say more\n"
        with pytest.raises(CommitSuperseded, match="packaging of nova was changed"):
            render(workshop.parts, package_of("nova"), TARGET, commit)

    def test_files_are_written_with_their_modes(self, tmp_path: Path) -> None:
        files = (
            PackagingFile(path="debian/rules", content=b"#!/usr/bin/make -f\n", executable=True),
            PackagingFile(path="debian/source/format", content=b"3.0 (quilt)\n", executable=False),
        )
        write(files, tmp_path)
        assert (tmp_path / "debian/rules").stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "debian/source/format").stat().st_mode & 0o777 == 0o644
        assert (tmp_path / "debian/source/format").read_bytes() == b"3.0 (quilt)\n"
