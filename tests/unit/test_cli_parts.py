"""What the command line prints: harmless text, whose fault it was, the exit code, stages as they run."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from pwd import getpwuid

import pytest
from rich.console import Console

from conveyor.cli.context import PIPE_WIDTH, Context
from conveyor.cli.progress import SilentProgress, TerminalProgress
from conveyor.cli.results import Result, exit_code, print_results
from conveyor.cli.text import plain
from conveyor.errors import ConfigurationInvalid, Fault, UnknownName, UpstreamUnreachable
from conveyor.model.build import Build, Cause, Outcome, Stage, StageTime
from conveyor.ports import Progress
from tests.fakes import store_samples as sample
from tests.fakes.store import MemoryStore
from tests.support.workshop import package_of


def build_of(fault: Fault | None, *, outcome: Outcome | None = None) -> Build:
    """A finished build whose failure was somebody's fault; a good one for None."""
    commit = sample.commit("1")
    store = MemoryStore()
    build = sample.succeed(store, commit, sample.minute(1), sample.artifact())
    if fault is None:
        return build
    cause = Cause(fault=fault, stage=Stage.BUILD, kind="X", summary="it broke", hint="mend it", details=("line",))
    return replace(build, outcome=outcome or Outcome.FAILED, cause=cause, published=False)


def result_of(fault: Fault | None, *, ran: bool = True) -> Result:
    build = build_of(fault)
    return Result(
        package="nova",
        target=sample.TARGET,
        build=build,
        ran=ran,
        repository="" if fault else "https://trunk.example.org/repos/x",
        log=Path("/data/builds/1/1/log"),
    )


def printed(*results: Result) -> tuple[str, str]:
    """What goes to standard output and to standard error."""
    output, errors = io.StringIO(), io.StringIO()
    print_results(
        Console(file=output, width=PIPE_WIDTH, highlight=False),
        Console(file=errors, width=PIPE_WIDTH, highlight=False),
        results,
    )
    return output.getvalue(), errors.getvalue()


class TestPlain:
    @pytest.mark.parametrize(
        ("text", "harmless"),
        [
            ("plain", "plain"),
            ("tab\tstays", "tab\tstays"),
            ("ümläut \N{SNOWMAN}", "ümläut \N{SNOWMAN}"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[2J\x1b[H\x1b[?25lcleared", "cleared"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://evil.example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]52;c;aGk=", ""),
            ("\x1bcreset", "reset"),
            ("end\x1b", "end"),
            ("two\nlines\r", "two\N{REPLACEMENT CHARACTER}lines\N{REPLACEMENT CHARACTER}"),
            ("bell\x07 back\x08 nul\x00 del\x7f", "bell\ufffd back\ufffd nul\ufffd del\ufffd"),
            ("c1\x9b31m", "c1\ufffd31m"),
            ("\u202eright to left\u2069", "\ufffdright to left\ufffd"),
            ("\x1b\x1b[31m[31mnested", "[31m[31mnested"),
        ],
    )
    def test_nothing_that_a_terminal_obeys_is_left(self, text: str, harmless: str) -> None:
        done = plain(text)
        assert "\x1b" not in done
        assert done == harmless
        assert plain(done) == done


class TestExitCode:
    @pytest.mark.parametrize(
        ("faults", "code"),
        [
            ([], 0),
            ([None, None], 0),
            ([Fault.PACKAGE], 1),
            ([Fault.USER], 2),
            ([Fault.OURS], 3),
            ([Fault.NETWORK], 3),
            ([None, Fault.NETWORK, Fault.PACKAGE], 1),
            ([Fault.OURS, None], 3),
            ([Fault.OURS, Fault.PACKAGE, Fault.USER], 2),
        ],
    )
    def test_what_trying_again_cannot_mend_comes_first(self, faults: list[Fault | None], code: int) -> None:
        assert exit_code([result_of(fault) for fault in faults]) == code

    def test_an_order_that_did_not_come_to_a_build_counts(self) -> None:
        error = UpstreamUnreachable("no network")
        lost = replace(result_of(None), build=None, error=error)
        assert exit_code([result_of(None), lost]) == 3
        assert lost.outcome is Outcome.ERRORED
        unknown = replace(lost, error=UnknownName("no such"))
        assert (exit_code([unknown]), unknown.outcome) == (2, Outcome.FAILED)

    def test_a_good_build_that_could_not_be_published_counts(self) -> None:
        unpublished = replace(result_of(None), error=UpstreamUnreachable("no network"))
        assert exit_code([unpublished]) == 3


class TestResults:
    def test_the_table_has_a_line_for_each(self) -> None:
        output, errors = printed(result_of(None), result_of(None, ran=False))
        heading, first, second = output.splitlines()
        assert heading.split() == ["package", "target", "version", "outcome", "seconds", "repository"]
        assert first.split() == ["nova", sample.TARGET, "1-1", "succeeded", "3.6", "https://trunk.example.org/repos/x"]
        assert second.split()[3:6] == ["succeeded", "(before)", "-"]
        assert errors == ""

    def test_a_failure_says_whose_fault_why_where_and_what_next(self) -> None:
        _, errors = printed(result_of(Fault.PACKAGE))
        assert errors.splitlines() == [
            f"nova for {sample.TARGET} in build: the package's fault",
            "  it broke",
            "    | line",
            "  whole log: /data/builds/1/1/log",
            "  next: mend it",
        ]

    @pytest.mark.parametrize("hostile", ["\x1b[2Jgone", "[bold]markup[/bold]", "[/nothing]", "\x1b]0;t\x07twice"])
    def test_text_of_upstream_does_nothing_to_the_terminal(self, hostile: str) -> None:
        build = build_of(Fault.PACKAGE)
        assert build.cause is not None
        cause = replace(build.cause, summary=hostile, hint=hostile, details=(hostile,))
        result = replace(result_of(Fault.PACKAGE), build=replace(build, cause=cause, version=hostile))
        output, errors = printed(result)
        assert "\x1b" not in output + errors
        assert errors.count(plain(hostile)) == 3
        assert plain(hostile) in output

    def test_seconds_are_those_of_all_stages(self) -> None:
        result = result_of(None)
        assert result.build is not None
        stages = (StageTime(stage=Stage.BUILD, seconds=61.25), StageTime(stage=Stage.PUBLISH, seconds=1))
        assert replace(result, build=replace(result.build, stages=stages)).seconds == 62.25
        assert replace(result, ran=False).seconds is None


class TestProgress:
    def events(self, progress: Progress, build: Build) -> None:
        progress.waiting(build)
        progress.started(build, Stage.RENDER)
        progress.ended(build, Stage.RENDER, 0.25, failed=False)
        progress.started(build, Stage.BUILD)
        progress.ended(build, Stage.BUILD, 12, failed=True)

    def test_on_a_terminal_each_stage_that_ended_has_a_line(self) -> None:
        shown = io.StringIO()
        build = build_of(None)
        self.events(TerminalProgress(Console(file=shown, width=200, force_terminal=False)), build)
        lines = [line.split() for line in shown.getvalue().splitlines()]
        assert lines == [
            ["nova", build.commit.short, "for", sample.TARGET, "(build", "1)"],
            ["✓", "render", "0.25", "s"],
            ["✗", "build", "12.00", "s"],
        ]

    def test_off_a_terminal_nothing_is_said(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.events(SilentProgress(), build_of(None))
        assert capfd.readouterr() == ("", "")


class TestContext:
    def context(self, folder: Path, **environ: str) -> Context:
        (folder / "specs/nova/debian").mkdir(parents=True)
        (folder / "repos.yaml").write_text(
            "targets:\n  debian-13-amd64: {format: deb, suite: trixie}\n"
            "  debian-12-amd64: {format: deb, suite: bookworm}\n"
            "packages:\n  nova: {upstream: 'https://git.example.org/nova', targets: [debian-13-amd64]}\n"
        )
        return Context(
            repos=folder / "repos.yaml", settings=None, data_dir=folder / "data", environ={"HOME": "/root", **environ}
        )

    def test_options_win_over_the_environment(self, tmp_path: Path) -> None:
        context = self.context(tmp_path, CONVEYOR_DATA_DIR="/elsewhere", CONVEYOR_BASE_URL="https://trunk.example.org")
        assert context.site.data_dir == tmp_path / "data"
        assert context.site.base_url == "https://trunk.example.org"
        assert context.site is context.site

    def test_the_packages_own_targets_unless_others_are_named(self, tmp_path: Path) -> None:
        context = self.context(tmp_path)
        package = context.configuration.package("nova")
        assert [target.name for target in context.chosen(package, ())] == ["debian-13-amd64"]
        assert [target.name for target in context.chosen(package, ["debian-12-amd64"])] == ["debian-12-amd64"]
        with pytest.raises(UnknownName):
            context.chosen(package_of("nova"), ["debian-99"])

    def test_with_sudo_the_user_is_who_called_it(self, tmp_path: Path) -> None:
        context = self.context(tmp_path)
        assert context.user == getpwuid(os.getuid()).pw_name
        assert replace(context, environ={"SUDO_USER": "ann"}).user == "ann"

    def test_off_a_terminal_progress_is_silent(self, tmp_path: Path) -> None:
        context = self.context(tmp_path)
        assert isinstance(context.progress(silent=False), SilentProgress)
        assert isinstance(context.progress(silent=True), SilentProgress)

    def test_mistakes_are_told_when_the_configuration_is_first_needed(self, tmp_path: Path) -> None:
        context = self.context(tmp_path)
        (tmp_path / "repos.yaml").write_text("packages: [")
        with pytest.raises(ConfigurationInvalid):
            _ = context.configuration
