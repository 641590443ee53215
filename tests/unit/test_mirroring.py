"""The command lines that copy to mirrors, and what is made of rsync's output."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.model.mirror import Mirror, Transport
from conveyor.repository import mirroring
from tests.support.published import commit_id_of, sha_of

ROOT = Path("/srv/repos/debian-13-amd64")
SHARD = f"{sha_of(1)[:2]}/{sha_of(1)[2:4]}/{commit_id_of(1)}"
POOL = f"pool/ab/{'ab' * 32}"


def argv_of(destination: str, **options: object) -> tuple[str, ...]:
    mirror = Mirror(name="eu", destination=destination, **options)  # type: ignore[arg-type]
    return mirroring.rsync(mirror, ("from/", mirroring.place(mirror, "target")))


def test_it_dies_with_its_parent_and_gives_up_where_nothing_moves() -> None:
    argv = argv_of("/srv/mirror", stall_limit=90)
    assert argv[:5] == ("setpriv", "--pdeathsig", "KILL", "--", "rsync")
    assert {"--timeout=90", "--partial-dir=.rsync-partial", "--perms", "--times"} <= set(argv)
    assert argv[-2:] == ("from/", "/srv/mirror/target/")
    assert not [each for each in argv if each.startswith(("--rsh", "--port", "--bwlimit", "--dry-run", "--contimeout"))]


def test_a_daemon_with_all_options() -> None:
    argv = argv_of("rsync://me@m.example.org/tree/sub/", port=8730, password_file="/etc/p", bandwidth=2**20)
    assert {"--port=8730", "--password-file=/etc/p", "--bwlimit=1024", "--contimeout=30"} <= set(argv)
    assert argv[-1] == "rsync://me@m.example.org/tree/sub/target/"


def test_ssh_with_all_options() -> None:
    argv = argv_of("me@m.example.org:/srv/tree", port=2222, identity="/etc/conveyor/key")
    assert "--protect-args" in argv
    (rsh,) = (each for each in argv if each.startswith("--rsh="))
    assert rsh == (
        "--rsh=ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -p2222 "
        "-oIdentitiesOnly=yes -i/etc/conveyor/key"
    )
    assert argv[-1] == "me@m.example.org:/srv/tree/target/"


@pytest.mark.parametrize(
    ("destination", "transport"),
    [("rsync://m/tree", Transport.DAEMON), ("m:tree", Transport.SSH), ("/srv/tree", Transport.FOLDER)],
)
def test_how_it_is_reached(destination: str, transport: Transport) -> None:
    assert Mirror(name="eu", destination=destination).transport is transport


def test_a_small_bandwidth_is_not_none_at_all() -> None:
    assert "--bwlimit=1" in argv_of("/srv/mirror", bandwidth=10)


def test_pointers_are_told_by_content_and_appear_together() -> None:
    argv = mirroring.copy_pointers(Path("/tmp/staged"), "/srv/mirror/t/")
    assert argv == ("--recursive", "--links", "--checksum", "--delay-updates", "/tmp/staged/", "/srv/mirror/t/")


def test_lists_are_parted_by_nul() -> None:
    assert mirroring.joined(["a", "b\nc"]) == b"a\0b\nc\0"
    assert mirroring.pool_folders(["ab" * 32, "ab" * 32]) == (POOL,)


STAND_IN = f".redated/20261121T140000Z/{commit_id_of(1)}"
LISTING = f"""\
drwxr-xr-x          4,096 2026/11/21 14:00:00 .
drwxr-xr-x          4,096 2026/11/21 14:00:00 t
lrwxrwxrwx             55 2026/11/21 14:00:00 t/current -> {SHARD}
lrwxrwxrwx             55 2026/11/21 14:00:00 t/tested -> {SHARD}
lrwxrwxrwx             55 2026/11/21 14:00:00 t/own -> /srv/elsewhere
lrwxrwxrwx             55 2026/11/21 14:00:00 t/.hidden -> {SHARD}
lrwxrwxrwx             55 2026/11/21 14:00:00 t/older -> {STAND_IN}
drwxr-xr-x           4096 2026/11/21 14:00:00 t/{STAND_IN}
drwxr-xr-x           4096 2026/11/21 14:00:00 t/.redated/notes/{commit_id_of(1)}
drwxr-xr-x           4096 2026/11/21 14:00:00 t/{SHARD}
drwxr-xr-x           4096 2026/11/21 14:00:00 t/{POOL}
drwxr-xr-x           4096 2026/11/21 14:00:00 t/pool/aa/notes
drwxr-xr-x           4096 2026/11/21 14:00:00 t/ab/cd/{commit_id_of(1)}
drwxr-xr-x           4096 2026/11/21 14:00:00 t/../../{SHARD}
-rw-r--r--           4096 2026/11/21 14:00:00 t/{POOL.replace("ab", "cd")}
rsync: something else
"""


def test_only_what_has_the_form_of_ours_is_superfluous() -> None:
    gone = mirroring.superfluous(LISTING, "t", here=(), pointers=("current",))
    assert set(gone) == {"tested", "older", SHARD, STAND_IN, POOL}
    pointers = ("current", "tested", "older")
    assert mirroring.superfluous(LISTING, "t", here=(SHARD, STAND_IN, POOL), pointers=pointers) == ()


def test_what_was_sent_is_counted() -> None:
    output = "Number of regular files transferred: 1,234\nTotal transferred file size: 5.678.901 bytes\n"
    assert mirroring.tally(output) == (1234, 5678901)
    assert mirroring.tally("") == (0, 0)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("sending\nrsync: [sender] failed to connect: Connection refused (111)\nrsync error: x (code 10)", "rsync: ["),
        ("@ERROR: auth failed on module tree\nrsync error: error starting (code 5)\n", "@ERROR: auth failed"),
        ("me@m: Permission denied (publickey).\r\nrsync error: unexplained (code 255)", "me@m: Permission denied"),
        ("rsync error: unexplained error (code 255) at io.c\n", "rsync error: unexplained"),
        ("", "rsync ended with code 12"),
    ],
)
def test_what_went_wrong_is_one_line(output: str, said: str) -> None:
    assert mirroring.complaint(output, 12).startswith(said)
    assert "\n" not in mirroring.complaint(output, 12)
