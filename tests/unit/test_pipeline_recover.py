"""A failure after each step, on fakes: recovery and the same order again give what there would have been."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor.errors import ConveyorError
from conveyor.model.build import Outcome, State
from tests.support.workshop import TARGET, Workshop, new_world, tree_of

# The order of writing: pool, store, snapshot, what is about to be moved, pointers, ledger, and the store again.
STEPS = [
    *("store.queue", "store.claim", "store.set_log"),
    *("builder.make_source", "builder.prepare", "store.set_buildroot", "builder.build", "builder.check_install"),
    *("repository.add", "repository.add", "repository.add", "repository.add", "store.finish"),
    *("repository.publish", "ledger.begin", "repository.point", "repository.point", "ledger.complete"),
    *("repository.set_ledger_head", "store.mark_published"),
]
OUTCOME = STEPS.index("store.finish")
# What differs from attempt to attempt: the attempt's number and its times.
VARIES = re.compile(r'"invocationId":"\d+/\d+"|"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"')


class Killed(BaseException):
    """Nothing of the pipeline catches it, as nothing of it runs after a kill."""


class Recorder:
    """Says of which step each call was, and dies after, or before, the one of a number."""

    def __init__(self, *, dies_at: int | None = None, before: bool = False) -> None:
        self.steps: list[str] = []
        self._dies_at = dies_at
        self._before = before

    def wrap(self, step: str, method: Callable[..., object]) -> Callable[..., object]:
        def recorded(*args: object, **named: object) -> object:
            self.steps.append(step)
            dies = len(self.steps) - 1 == self._dies_at
            if dies and self._before:
                raise Killed
            result = method(*args, **named)
            if dies:
                raise Killed
            return result

        return recorded


def watch(patch: pytest.MonkeyPatch, workshop: Workshop, recorder: Recorder) -> None:
    """Let the recorder hear of every step."""
    parts = {
        "store": workshop.parts.store,
        "repository": workshop.parts.repository,
        "ledger": workshop.ledger,
        "builder": workshop.builder,
    }
    for step in dict.fromkeys(STEPS):
        part, _, method = step.partition(".")
        patch.setattr(parts[part], method, recorder.wrap(step, getattr(parts[part], method)))


def new_workshop(folder: Path) -> Workshop:
    """Oslo is built and published already, and nova is to be built."""
    workshop = Workshop(new_world(folder, "nova", "oslo"))
    workshop.build("oslo")
    workshop.world.packaging.recipes["nova"] += "make nova-doc_{evr}.fake documents\nneeds python3\n"
    return workshop


def state_of(workshop: Workshop) -> dict[str, object]:
    """All that users see, but for times and the attempt's number."""
    (build,) = workshop.parts.store.builds(package="nova")
    published = tree_of(workshop.world.data / "repos")
    return {
        "build": (build.state, build.outcome, build.version, build.cause, build.claim, build.published),
        "stages": [time.stage for time in build.stages],
        "published": {name: VARIES.sub("", content) for name, content in published.items() if "logs" not in name},
        "logs": [name for name in published if "logs" in name],
        "pointers": {name: workshop.pointed(name) for name in ("current", "consistent")},
        "ledger": [(entry.kind, entry.actor, entry.step) for entry in workshop.ledger.entries()],
        "moving": workshop.ledger.pending(),
        "entries": [
            (entry.package, entry.version, entry.artifacts) for entry in workshop.parts.store.entries(TARGET.name)
        ],
        "folder": sorted(path.name for path in workshop.folder(build).iterdir()),
        "unpublished": workshop.parts.store.unpublished(),
        "running": workshop.parts.store.running(),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    workshop = new_workshop(tmp_path_factory.mktemp("undisturbed"))
    workshop.build("nova")
    return state_of(workshop)


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_pool_is_written_before_the_store_and_the_snapshot_before_the_pointers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop, recorder = new_workshop(tmp_path), Recorder()
    watch(monkeypatch, workshop, recorder)
    workshop.build("nova")
    assert recorder.steps == STEPS


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", range(len(STEPS)), ids=[f"{n}-{step}" for n, step in enumerate(STEPS)])
def test_a_kill_loses_nothing(
    tmp_path: Path, undisturbed: dict[str, object], gone: int, number: int, before: bool
) -> None:
    workshop = new_workshop(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.getpid", lambda: gone)
        watch(patch, workshop, Recorder(dies_at=number, before=before))
        with pytest.raises(Killed):
            workshop.build("nova")
    again = Workshop(workshop.world)
    assert again.recovery.run() == ()
    done = number > OUTCOME or (number == OUTCOME and not before)
    if done:
        assert state_of(again) == undisturbed
    report = again.build("nova")
    assert report.ran is not done
    assert state_of(again) == undisturbed


@pytest.mark.parametrize(
    "step", ["repository.publish", "ledger.begin", "repository.point", "ledger.complete", "store.mark_published"]
)
def test_an_error_while_publishing_loses_nothing(tmp_path: Path, undisturbed: dict[str, object], step: str) -> None:
    workshop = new_workshop(tmp_path)
    part, _, method = step.partition(".")
    parts = {"store": workshop.parts.store, "repository": workshop.parts.repository, "ledger": workshop.ledger}

    def refuse(*_: object, **_named: object) -> None:
        raise ConveyorError("it cannot be written")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts[part], method, refuse)
        with pytest.raises(ConveyorError, match="cannot be written"):
            workshop.build("nova")
        # A move that cannot be completed is told, and keeps back the builds of its targets.
        assert {problem.what for problem in workshop.recovery.run()} == {"it cannot be written"}
    (build,) = workshop.parts.store.builds(package="nova")
    assert (build.state, build.outcome, build.published) == (State.FINISHED, Outcome.SUCCEEDED, False)
    assert workshop.recovery.run() == ()
    assert state_of(workshop) == undisturbed


def test_recovery_can_be_repeated(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    workshop = new_workshop(tmp_path)
    workshop.build("nova")
    for _ in range(3):
        assert workshop.recovery.run() == ()
    assert state_of(workshop) == undisturbed


def test_recovery_runs_every_sweeper(tmp_path: Path) -> None:
    workshop, swept = new_workshop(tmp_path), list[str]()
    workshop.recovery._sweepers = (lambda: swept.append("groups"), lambda: swept.append("folders"))
    workshop.recovery.run()
    assert swept == ["groups", "folders"]
