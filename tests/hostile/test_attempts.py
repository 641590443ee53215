"""Hostile packages through the whole pipeline: contained, ended in time, told in one line, and nothing left of them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pytest

from conveyor.buildroot.isolation.sandbox import Bind, Call, Finished, Sandbox
from conveyor.model.build import Build, Outcome, Stage
from conveyor.model.target import Format
from conveyor.pipeline import check
from tests.contract.test_builder_contract import Bench, deb_bench, mock_bench, pbuilder_bench, rpm_bench
from tests.hostile.attempts import ENDINGS, MIB, PROBES, SPEC_FILES, SPEC_MACROS, Ending, got, script_of, tried
from tests.hostile.bait import Bait, planted
from tests.hostile.factory import CONTROL, SPEC, Factory

pytestmark = pytest.mark.integration

LOG_LIMIT = 2 * 1024**2
# Enough for the system's own programs to work; no attempt comes near.
LIMITS: Mapping[str, int] = {"seconds": 120, "memory": 2**30, "disk": 2**30, "processes": 200}
BENCHES: Mapping[str, Callable[[], Bench]] = {
    "overlay-deb": deb_bench,
    "overlay-rpm": rpm_bench,
    "pbuilder-deb": pbuilder_bench,
    "mock-rpm": mock_bench,
}
FIRST_OF_FORMAT = ("overlay-deb", "overlay-rpm")
# What a tool needs before a build begins counts, too: its time, and with mock the root.
TOOLS_LIMITS = {"seconds": 60, "disk": 2**31, "memory": 2**29}
# What a builder does not hold by its nature: docs/operating.md says what that means.
NOT_HELD = {"mock-rpm": {"device-nodes"}}
# The same for the error that is told.
TOLD_OTHERWISE = {("mock-rpm", "fill-disk"): ("BuildFailed", "the build failed")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A builder, and how a harmless package is built before anything hostile was.

    Attributes:
        name: of the bench.
        bench: the builder.
        layers: each file below the layers that builds start from, with all that a change of it would change.
        made: the sha256 of each package that the harmless build made.
    """

    name: str
    bench: Bench
    layers: Mapping[str, object]
    made: Mapping[str, str]

    @property
    def not_held(self) -> set[str]:
        """What may say of itself that it succeeded: a link among the results is no harm, if nobody follows it."""
        return {"results-by-link"} | NOT_HELD.get(self.name, set())

    def factory(self, data: Path, **limits: int) -> Factory:
        """A pipeline with nothing built."""
        target = replace(self.bench.target, limits=replace(self.bench.target.limits, **{**LIMITS, **limits}))
        return Factory(data, self.bench.builder, self.bench.toolchain, target)


@pytest.fixture(scope="module", params=sorted(BENCHES))
def baseline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    bench = BENCHES[request.param]()
    empty = Baseline(name=request.param, bench=bench, layers={}, made={})
    made = harmless(empty.factory(tmp_path_factory.mktemp("harmless")))
    return replace(empty, layers=layers_of(bench), made=made)


@pytest.fixture
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bait]:
    monkeypatch.setattr("conveyor.command.LOG_LIMIT", LOG_LIMIT)
    with planted(tmp_path / "host") as bait:
        yield bait


@pytest.fixture
def contained(tmp_path: Path, baseline: Baseline, bait: Bait) -> Iterator[None]:
    """After the test: nothing was had, and nothing is left."""
    yield
    assert bait.taken == []
    assert naps(bait) == []
    assert str(tmp_path) not in Path("/proc/1/mountinfo").read_text()
    if baseline.bench.data is not None:
        assert list((baseline.bench.data / "jobs").glob(f"{os.getpid()}-*")) == []
        assert list((baseline.bench.data / "buildroots/caches").rglob("evil*")) == []
    assert groups() == []
    found = sorted((tmp_path / "data").rglob("*"))
    assert [path for path in found if path.is_symlink() and "repos" not in path.parts] == []
    regular = [path for path in found if path.is_file() and not path.is_symlink()]
    assert [path for path in regular if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)] == []
    assert [path for path in regular if bait.marker.encode() in path.read_bytes()] == []


def naps(bait: Bait) -> list[str]:
    """Processes of hostile packages that are still there, a moment after the end at the latest."""
    deadline = time.monotonic() + 5
    while (found := _naps(bait)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _naps(bait: Bait) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"\0{bait.nap}\0".encode() in command and int(process.name) != bait.process.pid:
            found.append(f"{process.name}: {command!r}")
    return found


def groups() -> list[str]:
    return [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/conveyor-tests/{os.getpid()}-*")]


def layers_of(bench: Bench) -> dict[str, object]:
    """Each file of the buildroot's layers, by path: kind, mode, owner, size and the time of the last change."""
    if bench.data is None:
        return {}
    layers = bench.builder.prepare(bench.target, (), None, Path(os.devnull)).layers
    found: dict[str, object] = {}
    for layer in layers:
        for folder, _, names in os.walk(bench.data / "buildroots/layers" / layer / "root"):
            for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118 - many thousands
                status = os.lstat(path)
                found[path] = (status.st_mode, status.st_uid, status.st_size, status.st_ctime_ns)
    return found


def harmless(factory: Factory) -> dict[str, str]:
    """Build a package that means no harm; gives the sha256 of what it made."""
    factory.package("victim", {})
    build = factory.build("victim")
    assert (build.outcome, build.published) == (Outcome.SUCCEEDED, True), (build.cause, factory.log(build))
    packages = [one for one in factory.store.entry(build.id).artifacts if one.kind == "binary"]
    assert [one.name for one in packages] == ["victim"]
    return {one.filename: one.sha256 for one in packages}


def no_success(factory: Factory, build: Build, kind: str, says: str, outcome: Outcome = Outcome.FAILED) -> None:
    """It ended with this error, in one line, and nothing of it was published."""
    assert build.cause is not None, factory.log(build)
    assert (build.outcome, build.cause.kind) == (outcome, kind), build.cause
    assert says in build.cause.summary
    assert "\n" not in build.cause.summary
    assert len(build.cause.summary) < 500
    assert f"conveyor: {outcome}: " in factory.log(build)
    assert factory.store.entries(factory.target.name) == ()
    assert not (factory.data / "repos" / factory.target.name / "current").exists()


@pytest.mark.usefixtures("contained")
def test_what_can_be_tried_together(baseline: Baseline, bait: Bait, tmp_path: Path) -> None:
    factory = baseline.factory(tmp_path / "data")
    factory.package("evil", {"build.sh": script_of(PROBES, bait), "after.sh": script_of(PROBES, bait)})
    build = factory.build("evil")
    log = factory.log(build)
    assert tried(log) == {probe.name for probe in PROBES}
    assert set(got(log)) <= baseline.not_held, got(log)
    assert build.outcome is Outcome.SUCCEEDED, build.cause


@pytest.mark.usefixtures("contained")
def test_what_can_be_tried_while_installing(baseline: Baseline, bait: Bait, tmp_path: Path) -> None:
    """By the script of a package, which runs as the root of the package manager's sandbox."""
    probes = tuple(probe for probe in PROBES if probe.as_root)
    factory = baseline.factory(tmp_path / "data")
    factory.package("evil", {"postinst": script_of(probes, bait)})
    build = factory.build("evil")
    log = factory.log(build).partition(f"== {Stage.INSTALL} ==")[2]
    assert tried(log) == {probe.name for probe in probes}
    assert set(got(log)) <= baseline.not_held, got(log)
    assert build.outcome is Outcome.SUCCEEDED, build.cause


def said(ending: Ending, limits: Mapping[str, int]) -> str:
    """What an ending says, with the limits filled in."""
    words = {"@SECONDS@": limits.get("seconds", 0)} | {
        f"@{name.upper()}@": limits.get(name, 0) // MIB for name in ("memory", "disk")
    }
    text = ending.says
    for word, amount in words.items():
        text = text.replace(word, str(amount))
    return text


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_what_ends_the_build(ending: Ending, baseline: Baseline, bait: Bait, tmp_path: Path) -> None:
    if baseline.bench.target.format not in ending.formats:
        pytest.skip(f"not possible in a {baseline.bench.target.format}")
    if not ending.every_builder and baseline.name not in FIRST_OF_FORMAT:
        pytest.skip("the pipeline's own work: tried with the overlay builder")
    limits = dict(ending.limits)
    if baseline.name not in FIRST_OF_FORMAT:
        limits |= {name: amount for name, amount in TOOLS_LIMITS.items() if name in limits}
    factory = baseline.factory(tmp_path / "data", **limits)
    factory.package("evil", {name: bait.fill(text) for name, text in ending.scripts.items()})
    started = time.monotonic()
    build = factory.build("evil")
    assert time.monotonic() - started < 5 * LIMITS["seconds"]
    assert (factory.data / str(build.log)).stat().st_size < 3 * LOG_LIMIT
    if ending.outcome is Outcome.SUCCEEDED:
        assert (build.outcome, build.published) == (Outcome.SUCCEEDED, True), (build.cause, factory.log(build))
        assert ending.says in factory.log(build)
    else:
        kind, says = TOLD_OTHERWISE.get((baseline.name, ending.name), (ending.kind, said(ending, limits)))
        no_success(factory, build, kind, says)
        assert build.cause is not None
        assert build.cause.stage in {Stage.BUILD, Stage.CHECK, Stage.INSTALL}


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("name", sorted(SPEC_MACROS))
def test_what_a_spec_runs_while_it_is_parsed(name: str, baseline: Baseline, bait: Bait, tmp_path: Path) -> None:
    if baseline.bench.target.format is not Format.RPM:
        pytest.skip("only RPM has specs")
    factory = baseline.factory(tmp_path / "data")
    factory.package("evil", {}, macros=SPEC_MACROS[name], extra={"probes.sh": script_of(PROBES, bait)})
    build = factory.build("evil")
    log = factory.log(build).partition(f"== {Stage.SOURCE} ==")[2].partition("\n== ")[0]
    assert tried(log) == {probe.name for probe in PROBES}
    assert set(got(log)) <= baseline.not_held, got(log)
    assert build.outcome is Outcome.SUCCEEDED, (build.cause, factory.log(build))


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("name", sorted(SPEC_FILES))
def test_what_a_spec_reads_while_it_is_parsed(name: str, baseline: Baseline, bait: Bait, tmp_path: Path) -> None:
    if baseline.bench.target.format is not Format.RPM:
        pytest.skip("only RPM has specs")
    factory = baseline.factory(tmp_path / "data")
    factory.package("evil", {}, macros=bait.fill(SPEC_FILES[name]))
    no_success(factory, factory.build("evil"), "SourceInvalid", "evil-1.1.0 cannot be made")


def declares_victim(build_format: Format) -> dict[str, str]:
    """The packaging of evil, that declares another package's binary too."""
    if build_format is Format.DEB:
        return {
            "debian/control": f"{CONTROL}\nPackage: victim\nArchitecture: all\nDescription: x\n".replace("NAME", "evil")
        }
    more = "%description\nx\n%package -n victim\nSummary: x\n%description -n victim\nx\n"
    spec = (
        SPEC.replace("MACROS", "")
        .replace("%description\n", more, 1)
        .replace("%files -f", "%files -n victim\n%files -f")
    )
    return {"evil.spec": spec.replace("NAME", "evil")}


@pytest.mark.usefixtures("contained")
def test_names_of_another(baseline: Baseline, tmp_path: Path) -> None:
    """Packaging that declares what another package publishes."""
    if baseline.name not in FIRST_OF_FORMAT:
        pytest.skip("the pipeline's own work: tried with the overlay builder")
    factory = baseline.factory(tmp_path / "data")
    made = harmless(factory)
    fake = next(ending for ending in ENDINGS if ending.name == "foreign-name").scripts["after.sh"]
    deb = baseline.bench.target.format is Format.DEB
    script = fake.replace(" 1 x", " 'Source: evil\\n'") if deb else ""
    factory.package("evil", {"after.sh": script}, extra=declares_victim(baseline.bench.target.format))
    build = factory.build("evil")
    assert build.cause is not None, factory.log(build)
    assert build.cause.kind == "ForeignPackage"
    assert build.cause.summary.endswith("belongs to another: victim is published by victim")
    (entry,) = factory.store.entries(factory.target.name)
    assert {one.filename: one.sha256 for one in entry.artifacts if one.kind == "binary"} == made


@pytest.fixture
def no_new_layers(baseline: Baseline) -> Iterator[None]:
    """Remove the layers that a test made: with bait in them, they are of no use to another."""
    layers = (baseline.bench.data or Path(os.devnull)) / "buildroots/layers"
    before = set(layers.glob("*"))
    yield
    for layer in {*layers.glob("*")} - before:
        shutil.rmtree(layer)


@pytest.mark.usefixtures("contained", "no_new_layers")
def test_hooks_of_a_build_dependency(baseline: Baseline, bait: Bait, tmp_path: Path) -> None:
    """A package of the trunk that puts itself before apt-get where it is installed for other builds."""
    if baseline.name != "overlay-deb":
        pytest.skip("dnf runs on the host's own configuration; other builders have no layers with it")
    factory = baseline.factory(tmp_path / "data")
    # Becoming root is none: it is already.
    probes = [probe for probe in PROBES if probe.as_root]
    wrapper = '#!/bin/sh\\nsh /usr/share/victim/probes.sh 1>&2\\nexec apt-get.real "$@"\\n'
    scripts = {
        "package.sh": f"cat > $STAGE/usr/share/victim/probes.sh <<'END'\n{script_of(probes, bait)}END\n",
        "postinst": f"mv /usr/bin/apt-get /usr/bin/apt-get.real\nprintf '{wrapper}' > /usr/bin/apt-get\n"
        "chmod 755 /usr/bin/apt-get\n",
    }
    factory.package("victim", scripts)
    assert factory.build("victim").outcome is Outcome.SUCCEEDED
    # What no other test needs: else a layer with it could be what the second one is built upon.
    for name, needs in (("first", "victim"), ("second", "victim, ed")):
        control = CONTROL.replace("Rules-Requires", f"Build-Depends: {needs}\nRules-Requires").replace("NAME", name)
        factory.package(name, {}, extra={"debian/control": control})
        build = factory.build(name)
        log = factory.log(build)
        assert build.outcome is Outcome.SUCCEEDED, log
        assert set(got(log)) <= baseline.not_held, got(log)
    assert tried(log) == {probe.name for probe in probes}


class TestTheSuiteItself:
    """An attempt that nobody could notice would prove nothing."""

    def test_attempts_are_seen_where_nothing_holds_them(self, tmp_path: Path) -> None:
        with planted(tmp_path / "host") as bait:
            probes = tuple(probe for probe in PROBES if probe.harmless)
            (tmp_path / "work").mkdir()
            finished = subprocess.run(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", script_of(probes, bait)],
                cwd=tmp_path / "work",
                close_fds=False,
                capture_output=True,
                text=True,
                check=False,
            )
            assert set(got(finished.stdout)) == {probe.name for probe in probes}, finished.stdout + finished.stderr
            bait.process.wait(5)
            signs = bait.taken
        assert {sign.partition(":")[0] for sign in signs} == {"reached", "written", "killed"}

    def test_a_hole_in_the_sandbox_is_seen(
        self, baseline: Baseline, bait: Bait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if baseline.name != "overlay-rpm":
            pytest.skip("shown with one builder")
        run = Sandbox.run

        def leaky(self: Sandbox, call: Call, log: IO[bytes] | None = None) -> Finished:
            bind = Bind(source=bait.folder, target=str(bait.folder), writable=True)
            return run(self, call if call.privileged else replace(call, binds=(*call.binds, bind)), log)

        monkeypatch.setattr(Sandbox, "run", leaky)
        factory = baseline.factory(tmp_path / "data")
        factory.package("evil", {"build.sh": script_of(PROBES, bait)})
        holes = {"read-files", "read-store", "unix-socket", "write-outside"}
        assert holes <= set(got(factory.log(factory.build("evil"))))
        assert {sign.partition(":")[0] for sign in bait.taken} == {"reached", "written"}

    def test_a_missing_check_is_seen(self, baseline: Baseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if baseline.name != "overlay-rpm":
            pytest.skip("shown with one builder")
        factory = baseline.factory(tmp_path / "data")
        harmless(factory)
        for name in ("check_own", "check_publishers"):
            monkeypatch.setattr(check, name, lambda *_: None)
        foreign = next(ending for ending in ENDINGS if ending.name == "foreign-name")
        factory.package("evil", foreign.scripts)
        build = factory.build("evil")
        assert build.outcome is Outcome.SUCCEEDED, (build.cause, factory.log(build))
        assert "victim" in {one.name for one in factory.store.entry(build.id).artifacts}


def test_the_next_build_is_clean(baseline: Baseline, tmp_path: Path) -> None:
    """The same bytes as before all of this, on layers that nobody has touched."""
    assert harmless(baseline.factory(tmp_path / "data")) == baseline.made
    assert layers_of(baseline.bench) == baseline.layers
