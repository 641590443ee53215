"""docs/telling.md says what the code does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from conveyor.errors import Fault
from conveyor.model.build import Cause, Outcome, Stage
from conveyor.model.channels import FOR_MAINTAINERS, FOR_OPERATORS
from conveyor.model.event import Event, EventKind
from conveyor.pipeline import telling
from conveyor.pipeline.notices import Facts, Site
from conveyor.telling.letters import SHIPPED
from conveyor.telling.samples import samples
from conveyor.telling.webhook import READ_BYTES, SECRET_BYTES, WHOLE_SECONDS
from tests.fakes.clock import NOON
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import TARGET, claim, commit

TEXT = (Path(__file__).parents[2] / "docs" / "telling.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """The rows of the table below a heading, by their first cell."""
    match = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert match
    return dict(re.findall(r"^\| (.+?) \| (.*?) ?\|$", match[1], flags=re.MULTILINE))


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def facts_of_a_failure() -> Mapping[str, object]:
    store = MemoryStore()
    build = store.queue(commit(), TARGET, retry=False)
    store.claim(build.id, claim("x"))
    cause = Cause(fault=Fault.PACKAGE, stage=Stage.BUILD, kind="BuildFailed", summary="s", hint="h", details=("d",))
    store.finish(build.id, "x", outcome=Outcome.FAILED, at=NOON, version="1", cause=cause, stages=(), entry=None)
    event = Event(kind=EventKind.FAILED, summary="s", package="nova", target=TARGET, build=build.id, number=1, at=NOON)
    site = Site(name="conveyor", base_url="", host="hub", data=Path("/srv"))
    return Facts(store, site, lambda *_: "").of(event)


def test_each_kind_is_described_once() -> None:
    told = [kind for cell in rows("Kinds of events") for kind in codes(cell)]
    assert sorted(told) == sorted(EventKind)


def test_who_hears_of_what() -> None:
    table = rows("Who hears of what")
    assert set(codes(table["a package's `maintainers` in repos.yaml"])) == set(FOR_MAINTAINERS)
    assert codes(table["`operators` in `[mail]`"])[:-1] == list(FOR_OPERATORS)


def test_templates_can_name_what_is_described_and_nothing_else() -> None:
    table = {name: codes(what) for name, what in rows("Templates").items()}
    facts = facts_of_a_failure()
    assert [*facts, "package"] == [codes(row)[0] for row in table if row != "name"]
    for name, value in facts.items():
        assert isinstance(value, Mapping)
        described = [word for word in table[f"`{name}`"] if word != "repository_name"]
        assert sorted(described) == sorted(value)
        sample = samples()["failed"][name]
        assert isinstance(sample, Mapping)
        assert list(sample) == list(value)
    digest = Facts(MemoryStore(), Site(name="", base_url="", host="", data=Path("/")), lambda *_: "")
    assert set(digest.of_many("nova", ())) == set(samples()["digest"]) == {"package", "notices", "site"}


def test_the_templates_that_can_be_replaced() -> None:
    told = {word for word in codes(TEXT) if word.endswith(".j2")}
    assert {path.name for path in SHIPPED.iterdir()} >= told
    assert {path.name for path in SHIPPED.glob("_*")} <= told


def test_the_figures_are_the_code_s() -> None:
    assert (timedelta(seconds=30), 4, 10) == (telling.FIRST_WAIT, telling.GROWTH, telling.MAX_TRIES)
    assert (timedelta(days=30), timedelta(minutes=5)) == (telling.KEPT, telling.LONGEST_REST)
    assert (20, 2048, range(24, 65)) == (WHOLE_SECONDS, READ_BYTES, SECRET_BYTES)
    words = ("half a minute, two minutes, eight", "After ten tries", "after 30 days", "up to five minutes")
    assert all(each in TEXT for each in (*words, "within 20 seconds", "2 KB", "base64 of 24 to 64 bytes"))
