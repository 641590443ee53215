"""Hostile lines of logs, made harmless."""

from __future__ import annotations

import pytest

from conveyor.web.live.text import LINE_BYTES, Line, shown


def line(raw: bytes, causes: frozenset[str] = frozenset()) -> Line:
    return shown(raw, number=1, offset=0, length=len(raw), causes=causes)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"", ""),
        (b"dos\r", "dos"),
        (b"10%\r20%", "10%\u240d20%"),
        (b"a\x00b\x07c\x7f", "a\ufffdb\ufffdc\ufffd"),
        (b"\xff\xfe latin \xe4", "\ufffd\ufffd latin \ufffd"),
        ("ünï → ✓".encode(), "ünï → ✓"),
        (b"\x1b]0;title\x07x\x1b[2Jy\x1b[10;10Hz", "xyz"),
        (b"\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("turn \u202e around\u2028x".encode(), "turn \ufffd around\ufffdx"),
        (b"tab\tstays", "tab\tstays"),
        (b"ends in \x1b[3", "ends in 3"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_only_text_is_left(raw: bytes, text: str) -> None:
    assert line(raw).text == text


@pytest.mark.parametrize(
    ("raw", "runs"),
    [
        (b"\x1b[31mred\x1b[0m not", (("red", "ansi-red"), (" not", ""))),
        (
            b"\x1b[1;32mboth\x1b[22mless\x1b[39mnone",
            (("both", "ansi-bold ansi-green"), ("less", "ansi-green"), ("none", "")),
        ),
        (b"\x1b[91mbright\x1b[m.", (("bright", "ansi-red"), (".", ""))),
        (b"\x1b[31;41mhidden", (("hidden", "ansi-on-red"),)),
        (b"\x1b[34;7mturned\x1b[27mback", (("turned", "ansi-on-blue"), ("back", "ansi-blue"))),
        (
            b"\x1b[38;5;196mcube\x1b[38;5;4mnamed\x1b[38;5;240mgrey",
            (("cube", "ansi-red"), ("named", "ansi-blue"), ("grey", "")),
        ),
        (b"\x1b[48;2;0;255;0mrgb\x1b[49m.", (("rgb", "ansi-on-green"), (".", ""))),
        (b"\x1b[38;2;9mshort\x1b[38mless", (("short", ""), ("less", ""))),
        (b"\x1b[99999;;5;8;73mnothing", (("nothing", ""),)),
        (b"\x1b[4;3munder\x1b[24;23m.", (("under", "ansi-italic ansi-underline"), (".", ""))),
    ],
)
def test_colours_are_kept_as_names(raw: bytes, runs: tuple[tuple[str, str], ...]) -> None:
    assert line(raw).runs == runs


def test_a_long_line_is_cut_and_says_how_much() -> None:
    cut = shown(b"x" * LINE_BYTES, number=7, offset=3, length=5 * 2**20, causes=frozenset())
    assert (len(cut.text), cut.cut) == (LINE_BYTES, 5 * 2**20 - LINE_BYTES)
    assert cut.as_json()["cut"] == cut.cut
    through = b"x" * (LINE_BYTES - 1) + "é".encode() + b"more"
    assert line(through).text == "x" * (LINE_BYTES - 1)


def test_what_matters_is_marked() -> None:
    assert line(b"== build ==").mark == "stage"
    assert line(b"conveyor: note: setuid").mark == "note"
    assert line(b"hello.c:3:1: error: no semicolon").mark == "error"
    assert line(b"\x1b[31mE   ModuleNotFoundError: No module named 'x'\x1b[0m").mark == "error"
    assert line(b"all is well").mark == ""
    assert line(b"  \x1b[1mwell\x1b[0m", frozenset({"  well"})).mark == "cause"


def test_json_leaves_out_what_says_nothing() -> None:
    assert line(b"x").as_json() == {"number": 1, "offset": 0, "text": "x"}
    assert line(b"\x1b[31mx").as_json()["runs"] == [["x", "ansi-red"]]
