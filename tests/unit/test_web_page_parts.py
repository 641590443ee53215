"""What pages are made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread

import pytest

from conveyor.model.build import Outcome, State
from conveyor.web.pages.environment import duration, environment, ids, is_web, link, query, size
from conveyor.web.pages.kept import Kept
from conveyor.web.pages.pieces import commit_link
from conveyor.web.pages.plots import Bar, plot
from conveyor.web.pages.states import mark
from tests.fakes.store_samples import NOON, commit


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://git.example.org/nova", True),
        ("http://example.org/a?b=c", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https:///nothing", False),
        ("https://[broken", False),
        ("https://example.org/\u202egpj.exe", False),
        ("ssh://git@example.org/x", False),
        ("//example.org/x", False),
    ],
)
def test_only_addresses_of_the_web_become_links(url: str, shown: bool) -> None:
    assert is_web(url) is shown
    made = link(url) if not url.endswith("[broken") else ""
    assert ("<a " in made) is shown


def test_a_link_tells_nobody_where_it_was_and_hides_passwords() -> None:
    made = link("https://user:secret@example.org/x", "<b>")
    assert made == '<a href="https://example.org/x" rel="noreferrer nofollow">&lt;b&gt;</a>'


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "–"),  # noqa: RUF001
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59, "59 s"),
        (61, "1 min 01 s"),
        (7260, "2 h 01 min"),
        (176400, "2 d 1 h"),
    ],
)
def test_durations(seconds: float | None, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(("number", "told"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**33, "8.0 GiB")])
def test_sizes(number: int, told: str) -> None:
    assert size(number) == told


def test_a_query_has_only_what_is_given() -> None:
    assert query(q="a b&c", target="", page=None) == "?q=a+b%26c"
    assert query(q="") == ""


def test_ids_of_commits_are_told_by_their_beginnings() -> None:
    sha = "0123456789abcdef" * 2 + "01234567"
    assert ids(f"moved to {sha}_01234567, from {sha}_89abcdef_1a2b") == "moved to 0123456789ab, from 0123456789ab"
    assert ids(f"sha256 {sha * 2}, upstream {sha}") == f"sha256 {sha * 2}, upstream {sha}"


def test_ages_have_the_moment_at_hand() -> None:
    made = environment().from_string("{{ moment|age }}").render(now=NOON, moment=NOON - timedelta(hours=3))
    assert made == (
        '<time datetime="2026-03-01T09:00:00Z" title="2026-03-01 09:00:00 UTC" data-age="ago">3 h ago</time>'
    )


def test_plots_are_pictures_with_words() -> None:
    made = plot([Bar(value=0, label="<first>"), Bar(value=9, label="second", tone="bad")], "Two & two")
    assert "<title>Two &amp; two</title>" in made
    assert "&lt;first&gt;" in made
    assert made.count("<rect") == 2
    assert "style" not in plot([], "nothing")


def test_of_many_bars_a_plot_has_room_for_the_last() -> None:
    made = plot([Bar(value=1, label=str(number)) for number in range(9)], "many", places=4)
    assert made.count("<rect") == 4
    assert "<title>4</title>" not in made
    assert 'x="180" y="0" width="58"' in made


def test_links_to_commits_escape_what_others_name() -> None:
    hostile = replace(commit(), upstream=replace(commit().upstream, sha='"><b>' + 35 * "0"), extended="<i>\n'x")
    for each in (hostile, replace(hostile, trunk=False)):
        made = commit_link(each)
        assert "<b>" not in made
        assert "<i>" not in made
        assert "&#34;&gt;&lt;b&gt;" in made
    assert 'href="/commits/%22%3E%3Cb%3E0' in commit_link(hostile)
    assert "not part of the trunk" in commit_link(replace(hostile, trunk=False))


def test_each_state_has_a_shape_of_its_own() -> None:
    words = [*Outcome, State.QUEUED, State.RUNNING]
    assert len({mark(word).symbol for word in words}) == len(words)
    assert mark(None) == mark("running")
    assert mark("what nobody knows").word == "not built"


def test_what_is_kept_is_made_anew_with_its_version_and_its_age() -> None:
    time = [0.0]
    kept, made = Kept(lambda: time[0]), list[int]()

    def make() -> int:
        made.append(len(made))
        return made[-1]

    assert [kept.get("a", 1, 5, make), kept.get("a", 1, 5, make)] == [0, 0]
    assert kept.get("a", 2, 5, make) == 1
    time[0] = 5.0
    assert kept.get("a", 2, 5, make) == 2
    assert kept.get("b", 2, 5, make) == 3


def test_nobody_waits_while_another_makes_what_is_kept() -> None:
    kept, begun, go_on = Kept(), Event(), Event()
    assert kept.get("a", 1, 60, lambda: "old") == "old"

    def slowly() -> str:
        begun.set()
        assert go_on.wait(10)
        return "new"

    maker = Thread(target=lambda: kept.get("a", 2, 60, slowly))
    maker.start()
    assert begun.wait(10)
    assert kept.get("a", 2, 60, lambda: "never") == "old"
    go_on.set()
    maker.join()
    assert kept.get("a", 2, 60, lambda: "never") == "new"


def test_little_is_kept() -> None:
    kept = Kept()
    for number in range(1000):
        kept.get(number, 1, 60, object)
    assert len(kept._places) <= 128
