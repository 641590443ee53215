"""What mails say: Conveyor's templates, the site's own, and those that are broken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conveyor.model.event import EventKind
from conveyor.telling.letters import MAX_BODY, SHIPPED, TemplateLetters
from conveyor.telling.samples import DIGEST, samples

FACTS = samples()
FAILED = FACTS["failed"]


def written(folder: Path, **parts: str) -> TemplateLetters:
    for name, text in parts.items():
        (folder / f"{name.replace('_', '.').replace('works.', 'works-')}.j2").write_text(text)
    return TemplateLetters(folder)


def test_the_cause_is_in_the_mail() -> None:
    letter = TemplateLetters().write("failed", FAILED)
    assert letter.subject == "[conveyor] oslo.utils failed on debian-13-amd64 in build"
    assert (
        letter.body
        == """\
oslo.utils failed on debian-13-amd64. Its build before this one there was good.

build     12, attempt 1
commit    1a2b3c4 Drop a helper that nobody uses
author    Ada Lovelace
version   7.1.0~dev12-1
when      2026-03-07 12:00 UTC

dpkg-buildpackage ended with code 2
(the package's fault, in the stage build)

    | E   ImportError: cannot import name 'helper'
    | 1 failed, 200 passed

next: mend the package, or its packaging

why       conveyor why 12
log       conveyor log 12  (hub.example.org:/var/lib/conveyor/builds/12/1/log)
"""[:-1]
    )


@pytest.mark.parametrize("kind", [*EventKind, "something-new"])
@pytest.mark.parametrize("facts", FACTS.values())
def test_there_is_a_letter_for_everything(kind: str, facts: dict[str, object]) -> None:
    if "event" in facts:
        letter = TemplateLetters().write(kind, facts)
        assert letter.subject.startswith("[conveyor] ")
        assert "None" not in letter.body
        assert "\n\n\n" not in letter.body


def test_a_letter_about_many_things_says_all() -> None:
    letter = TemplateLetters().write("digest", DIGEST)
    assert letter.subject.endswith("and 24 more")
    assert [f"subject {number}" in letter.body for number in range(25)] == [True] * 25
    assert [f"body {number}\n" in f"{letter.body}\n" for number in range(25)] == [False] * 5 + [True] * 20


def test_the_site_s_template_wins(tmp_path: Path) -> None:
    letters = written(tmp_path, failed_subject="broken: {{ event.package }}\n", works_again_body="fine")
    assert letters.write("failed", FAILED).subject == "broken: oslo.utils"
    assert "ImportError" in letters.write("failed", FAILED).body
    assert letters.write("works-again", FAILED).body == "fine"
    assert not letters.problems(FACTS)


def test_what_templates_share_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "_cause.j2").write_text("because")
    assert "\nbecause\n" in TemplateLetters(tmp_path).write("failed", FAILED).body


def test_one_of_any_event_is_for_those_without_their_own(tmp_path: Path) -> None:
    letters = written(tmp_path, event_body="anything")
    assert letters.write("disk-low", FACTS["event"]).body == "anything"
    assert letters.write("failed", FAILED).body != "anything"


BROKEN = [
    ("{% if %}", "line 1"),
    ("\n{{ event.pakage }}", "has no attribute 'pakage'"),
    ("{{ nothing }}", "'nothing' is undefined"),
    ("{{ 1 / 0 }}", "division by zero"),
    ("{{ event.package.__class__ }}", "unsafe"),
    ("{% include 'none.j2' %}", "none.j2"),
    ("{% include 'failed.body.j2' %}", "recursion"),
    ("{% do event.update(x=1) %}", "line 1"),
    ("{{ event.update({'x': 1}) }}", "unsafe"),
    ("{{ cause.details + 1 }}", "can only concatenate"),
    (" \n", "no text"),
    ("{{ 'x' * 10 ** 12 }}", ""),
]


@pytest.mark.parametrize(("text", "told"), BROKEN)
def test_a_broken_template_is_told_and_left_out(tmp_path: Path, text: str, told: str) -> None:
    letters = written(tmp_path, failed_body=text)
    own, shipped = letters.write("failed", FAILED), TemplateLetters().write("failed", FAILED)
    assert own.subject == shipped.subject
    assert own.body.startswith(shipped.body)
    note = own.body.removeprefix(shipped.body).strip()
    assert re.fullmatch(rf"\(The site's template is broken, .*: failed\.body\.j2\b.*{re.escape(told)}.*\)", note)
    (problem,) = letters.problems(FACTS)
    assert told in problem


def test_files_that_are_no_templates(tmp_path: Path) -> None:
    (tmp_path / "failed.body.j2").write_bytes(b"\xff")
    (tmp_path / "readme.txt").touch()
    (tmp_path / "failed.j2").touch()
    (tmp_path / "_own.j2").touch()
    first, second, third = TemplateLetters(tmp_path).problems(FACTS)
    assert first.startswith("failed.body.j2: ")
    assert (second, third) == (
        "failed.j2: no mail uses a file of this name",
        "readme.txt: no mail uses a file of this name",
    )


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    letters = TemplateLetters(tmp_path / "none")
    assert letters.write("failed", FAILED) == TemplateLetters().write("failed", FAILED)


def test_a_change_of_a_template_counts_at_once(tmp_path: Path) -> None:
    letters = written(tmp_path, failed_subject="one")
    assert letters.write("failed", FAILED).subject == "one"
    (tmp_path / "failed.subject.j2").write_text("another")
    assert letters.write("failed", FAILED).subject == "another"


def test_a_letter_has_an_end(tmp_path: Path) -> None:
    letters = written(
        tmp_path, failed_body="{% for i in range(100000) %}many words {% endfor %}", failed_subject="x" * 999
    )
    letter = letters.write("failed", FAILED)
    assert (len(letter.subject), len(letter.body)) == (200, MAX_BODY)


def test_a_subject_is_one_line_and_a_body_is_plain(tmp_path: Path) -> None:
    letters = written(tmp_path, failed_subject="a\n\tb\x1b[1mc", failed_body="a\x1b[1m\r\nb")
    letter = letters.write("failed", FAILED)
    assert (letter.subject, letter.body) == ("a bc", "a\nb")


def test_every_template_is_in_the_package() -> None:
    names = {path.name for path in SHIPPED.iterdir()}
    assert {"event.subject.j2", "event.body.j2", "digest.subject.j2", "digest.body.j2"} <= names
    assert all(name.endswith(".j2") for name in names)
