"""A worker: what signals do to it, and what it says."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from conveyor.errors import DiskFull, StoreUnusable
from conveyor.model.build import Outcome, State
from conveyor.model.work import Chore, Said, SaidKind, Task, to_said
from conveyor.pipeline.run import PutBack
from conveyor.wiring import Conveyor, upkeep
from conveyor.worker import Interruptions, Voice, Worker
from tests.support.workshop import TARGET, Workshop, new_world


@pytest.fixture
def interruptions() -> Iterator[Interruptions]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    made = Interruptions()
    made.install()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


class TestInterruptions:
    @pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, PutBack)])
    def test_signals_reach_what_is_open(
        self, interruptions: Interruptions, number: signal.Signals, kind: type[BaseException]
    ) -> None:
        with pytest.raises(kind) as caught, interruptions.working(), interruptions.open():
            signal.raise_signal(number)
        assert caught.type is kind
        assert interruptions.ending is (number is signal.SIGTERM)

    def test_one_that_comes_before_waits_until_then(self, interruptions: Interruptions) -> None:
        done = []
        with interruptions.working():
            signal.raise_signal(signal.SIGINT)
            done.append("claimed")
            with pytest.raises(KeyboardInterrupt), interruptions.open():
                done.append("built")
        assert done == ["claimed"]

    def test_one_that_comes_after_is_too_late(self, interruptions: Interruptions) -> None:
        with interruptions.working():
            with interruptions.open():
                pass
            signal.raise_signal(signal.SIGINT)
        with interruptions.working(), interruptions.open():
            pass

    def test_without_a_task_there_is_nothing_to_cancel(self, interruptions: Interruptions) -> None:
        signal.raise_signal(signal.SIGINT)
        with interruptions.working(), interruptions.open():
            pass
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)

    def test_what_came_first_counts(self, interruptions: Interruptions) -> None:
        with interruptions.working():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt) as caught, interruptions.open():
                pass
        assert caught.type is KeyboardInterrupt
        assert interruptions.ending


class Bench:
    """A worker on fakes."""

    def __init__(self, folder: Path, interruptions: Interruptions) -> None:
        self.output = StringIO()
        voice = Voice(self.output)
        self.workshop = Workshop(new_world(folder, "nova"), progress=voice, stages_only=interruptions.open)
        self.store = self.workshop.parts.store
        conveyor = SimpleNamespace(queued=self.workshop.queued, store=self.store)
        self.worker = Worker(cast(Conveyor, conveyor), voice, interruptions)

    def queue(self) -> int:
        return self.store.queue(self.workshop.commit("nova"), TARGET.name, retry=True).id

    def carry_out(self, task: Task) -> list[Said]:
        before = len(self.output.getvalue())
        self.worker.carry_out(task)
        return [to_said(line) for line in self.output.getvalue()[before:].splitlines()]


@pytest.fixture
def bench(tmp_path: Path, interruptions: Interruptions) -> Bench:
    return Bench(tmp_path, interruptions)


def raiser(error: BaseException) -> Callable[[], None]:
    def hook() -> None:
        raise error

    return hook


class TestWorker:
    def test_it_says_what_becomes_of_a_build(self, bench: Bench) -> None:
        number = bench.queue()
        said = bench.carry_out(Task(build=number))
        assert {line.build for line in said} == {number}
        kinds = [line.kind for line in said]
        assert kinds[:2] == [SaidKind.CLAIMED, SaidKind.STAGE]
        assert kinds[-3:] == [SaidKind.ENDED, SaidKind.PUBLISHED, SaidKind.DONE]
        assert [line.outcome for line in said if line.outcome] == [Outcome.SUCCEEDED]
        assert said[-1].memory > 2**20

    def test_a_failure_has_its_cause(self, bench: Bench) -> None:
        bench.workshop.world.packaging.recipes["nova"] = "say oh dear\nexit 2\n"
        *_, ended, done = bench.carry_out(Task(build=bench.queue()))
        assert (ended.kind, ended.outcome, done.kind) == (SaidKind.ENDED, Outcome.FAILED, SaidKind.DONE)
        assert "oh dear" in ended.text

    def test_what_others_have_is_left_to_them(self, bench: Bench) -> None:
        number = bench.queue()
        bench.workshop.build("nova")
        assert [line.kind for line in bench.carry_out(Task(build=number))] == [SaidKind.DONE]

    @pytest.mark.parametrize(
        ("number", "state", "outcome"),
        [(signal.SIGINT, State.FINISHED, Outcome.CANCELLED), (signal.SIGTERM, State.QUEUED, None)],
    )
    def test_a_signal_ends_a_build(
        self, bench: Bench, number: signal.Signals, state: State, outcome: Outcome | None
    ) -> None:
        bench.workshop.builder.hooks["build"] = lambda: signal.raise_signal(number)
        said = bench.carry_out(Task(build=bench.queue()))
        assert [line.kind for line in said[-2:]] == [SaidKind.NOTE, SaidKind.DONE]
        build = bench.store.build(1)
        assert (build.state, build.outcome, build.errors, build.claim) == (state, outcome, 0, None)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_lets_a_build_be_published(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        publish = bench.workshop.parts.repository.publish

        def signalled(*args: object) -> object:
            signal.raise_signal(number)
            return publish(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(bench.workshop.parts.repository, "publish", signalled)
        bench.carry_out(Task(build=bench.queue()))
        assert bench.store.build(1).published

    def test_what_cannot_be_published_is_told_and_left_to_be_published_later(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(bench.workshop.parts.repository, "publish", lambda *_: raiser(DiskFull("no room"))())
            *_, problem, done = bench.carry_out(Task(build=bench.queue()))
        assert (problem.kind, problem.text, done.kind) == (SaidKind.PROBLEM, "no room", SaidKind.DONE)
        assert bench.store.build(1).outcome is Outcome.SUCCEEDED
        said = bench.carry_out(Task(build=1))
        assert [line.kind for line in said] == [SaidKind.PUBLISHED, SaidKind.DONE]

    def test_who_cannot_let_go_of_a_build_ends(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        number = bench.queue()
        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "finish", lambda *_, **_named: raiser(StoreUnusable("gone"))())
            with pytest.raises(StoreUnusable):
                bench.carry_out(Task(build=number))
        assert bench.store.build(number).state is State.RUNNING

    def test_a_chore_says_what_was_done_and_what_was_not(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        told = ["one was done", DiskFull("no room")]
        monkeypatch.setattr(upkeep, "carry_out", lambda _, chore: iter(told) if chore is Chore.MIRROR else iter(()))
        note, problem, done = bench.carry_out(Task(chore=Chore.MIRROR))
        assert (note, problem) == (
            Said(kind=SaidKind.NOTE, text="one was done"),
            Said(kind=SaidKind.PROBLEM, text="no room"),
        )
        assert replace(done, memory=0) == Said(kind=SaidKind.DONE)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_chore_can_be_stopped_anywhere(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        def work(*_: object) -> Iterator[str]:
            yield "begun"
            signal.raise_signal(number)
            yield "never"

        monkeypatch.setattr(upkeep, "carry_out", work)
        assert [line.kind for line in bench.carry_out(Task(chore=Chore.COLLECT))] == [
            SaidKind.NOTE,
            SaidKind.NOTE,
            SaidKind.DONE,
        ]
