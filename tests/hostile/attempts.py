"""The hostile packages, as data: what each tries, how, and what has to become of it.

Scripts run in sh, with OUT set to the folder that results are taken from. Words such as @SECRET@ are those of the bait:
tests/hostile/bait.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conveyor.model.build import Outcome
from conveyor.model.target import Format
from tests.hostile.bait import Bait

# Not every root has both. "reach ADDRESS PORT", or "reach PATH", in which "@" stands for the abstract name space.
REACH = r"""reach() {
    perl -e 'use Socket; alarm 3; my ($to, $port) = @ARGV; my $name = $to =~ s/^@/\0/r;
        socket(my $s, $port ? PF_INET : PF_UNIX, SOCK_STREAM, 0) or exit 1;
        connect($s, $port ? sockaddr_in($port, inet_aton($to)) : pack_sockaddr_un($name)) or exit 1' "$@" ||
    python3 -c 'import socket, sys; to, *port = sys.argv[1:]
s = socket.socket(socket.AF_INET if port else socket.AF_UNIX); s.settimeout(3)
s.connect((to, int(port[0])) if port else to.replace("@", "\0", 1))' "$@"
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """An attempt that can be tried among others: it prints "GOT <name>" where it succeeds, and the build goes on.

    What is on the host afterwards counts as well: see the fixture `contained`.

    Attributes:
        name: as the table in docs/operating.md has it.
        script: what it runs.
        as_root: whether the script of a package that is being installed tries it too.
        harmless: whether it may run outside of any sandbox, to show that it would be seen.
    """

    name: str
    script: str
    as_root: bool = True
    harmless: bool = True


PROBES = (
    Probe(
        name="read-files",
        script="""for top in "" /proc/1/root /proc/self/root ../../../../../../../../..; do
    file=$top@SECRET@
    grep -q @MARKER@ $file && echo "GOT read-files"
done
ln -s @SECRET@ stolen && grep -q @MARKER@ stolen && echo "GOT read-files"
rm -f stolen""",
    ),
    Probe(
        name="read-environment",
        script="""{ env; cat /proc/[0-9]*/environ; } | grep -a -q "=@MARKER@" && echo "GOT read-environment" """,
    ),
    Probe(name="read-store", script="""grep -q @MARKER@ @STORE@ && echo "GOT read-store" """),
    Probe(
        name="read-descriptors",
        script="""for file in /proc/self/fd/* /proc/1/fd/*; do
    case $(readlink $file) in *@SECRET@*) echo "GOT read-descriptors";; esac
done""",
    ),
    Probe(name="loopback", script="""reach 127.0.0.1 @PORT@ && echo "GOT loopback" """),
    Probe(name="network", script="""reach @ADDRESS@ @PORT@ && echo "GOT network" """),
    Probe(name="unix-socket", script="""reach @SOCKET@ && echo "GOT unix-socket" """),
    Probe(name="abstract-socket", script="""reach '@@ABSTRACT@' && echo "GOT abstract-socket" """),
    Probe(
        name="see-processes",
        script="""for process in /proc/[0-9]*; do
    test "$(tr '\\0' ' ' < $process/cmdline)" = "sleep @NAP@ " && echo "GOT see-processes"
done""",
    ),
    Probe(name="kill-processes", script="""kill -9 @PID@ && echo "GOT kill-processes" """),
    Probe(
        name="write-outside",
        script="""for top in "" /proc/1/root $OUT/../../../../../../../../..; do
    echo mine > $top@OUTSIDE@/$(echo "from$top" | tr ./ --) && echo "GOT write-outside"
done""",
    ),
    Probe(
        name="device-nodes",
        script="""mknod node b 8 0 && echo "GOT device-nodes"
rm -f node
for node in /dev/sd? /dev/vd? /dev/nvme* /dev/loop-control /dev/mem /dev/kmsg /dev/fuse; do
    test -r $node && echo "GOT device-nodes"
done""",
    ),
    Probe(
        name="mount",
        script="""mkdir -p here
mount -t tmpfs none here && echo "GOT mount"
mount --bind / here && echo "GOT mount" """,
    ),
    Probe(
        name="namespace",
        script="""unshare --user --map-root-user true && echo "GOT namespace"
unshare --mount true && echo "GOT namespace" """,
        as_root=False,
    ),
    Probe(
        name="setuid-tool",
        script="""cp "$(command -v id)" own-id && chown 0 own-id && chmod 4755 own-id && ./own-id -u | grep -q '^0$' \\
    && echo "GOT setuid-tool"
su -c 'id -u' < /dev/null | grep -q '^0$' && echo "GOT setuid-tool"
rm -f own-id""",
        as_root=False,
    ),
    Probe(
        name="kernel-settings",
        script="""for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/fs/cgroup/*/cgroup.procs \\
    /sys/fs/cgroup/cgroup.procs; do
    { : >> $file; } && echo "opened $file" && echo "GOT kernel-settings"
done""",
    ),
    Probe(
        name="poison-layer",
        script="""for file in /usr/bin/make /etc/ld.so.preload /usr/lib/evil; do
    echo evil >> $file && echo "GOT poison-layer"
done""",
        as_root=False,
        harmless=False,
    ),
    Probe(
        name="poison-cache",
        script="""for file in /conveyor/cache/evil /conveyor/trunk/evil /conveyor/evil; do
    echo evil > $file
done""",
        harmless=False,
    ),
    Probe(
        name="results-by-link",
        script="""ln -s @SECRET@ $OUT/link_1_all.deb
ln @SECRET@ $OUT/hard_1_all.deb
mkfifo $OUT/pipe_1_all.deb
mkdir $OUT/folder_1_all.deb
test -e $OUT/link_1_all.deb && echo "GOT results-by-link" """,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An attempt that decides how its build ends, and so has a build of its own.

    Attributes:
        name: as the table in docs/operating.md has it.
        scripts: what the upstream's scripts do, by their names: build.sh; package.sh, which fills the tree to be
            packaged; after.sh, which runs when the packages are there; postinst, when they are installed.
        formats: the formats that it is tried in.
        outcome: of the build.
        kind: the error's name; empty for a success.
        says: part of the one line that tells it; of the log for a success. "@SECONDS@", "@MEMORY@" and "@DISK@"
            stand for the limits.
        limits: changes to the target's limits.
        every_builder: whether it is up to the builder; what the pipeline itself sees is tried with one builder only.
    """

    name: str
    scripts: Mapping[str, str]
    formats: tuple[Format, ...] = (Format.DEB, Format.RPM)
    outcome: Outcome = Outcome.FAILED
    kind: str = ""
    says: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    every_builder: bool = False


MIB = 1024**2
# Other packages made within a build, without the tools' help: a .deb by dpkg-deb, an RPM by another rpmbuild.
MAKE_DEB = """make_deb() { # NAME VERSION MORE-FIELDS
    mkdir -p other/DEBIAN
    printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: E <e@example.org>\\nDescription: x\\n'"$3" \\
        "$1" "$2" > other/DEBIAN/control
    dpkg-deb --root-owner-group --build other "$OUT/$1_$2_all.deb"
    rm -r other
}
"""
MAKE_RPM = """make_rpm() { # NAME VERSION RELEASE SUMMARY
    printf 'Name: %s\\nVersion: %s\\nRelease: %s\\nSummary: '"$4"'\\nLicense: MIT\\nBuildArch: noarch\\n' \\
        "$1" "$2" "$3" > other.spec
    printf '%%description\\nx\\n%%files\\n' >> other.spec
    rpmbuild --define "_topdir $PWD/other" --define "_rpmdir $OUT" \\
        --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' -bb other.spec
}
"""
BOTH = f"{MAKE_DEB}{MAKE_RPM}"

ENDINGS = (
    Ending(
        name="outlive-the-build",
        scripts={
            "build.sh": "setsid sleep @NAP@ > /dev/null 2>&1 &\n(trap '' TERM HUP INT; exec setsid sleep @NAP@) &"
        },
        outcome=Outcome.SUCCEEDED,
        every_builder=True,
    ),
    Ending(
        name="run-for-ever",
        scripts={"build.sh": "trap '' TERM HUP INT\nsetsid sleep @NAP@ &\nwhile :; do sleep @NAP@; done"},
        kind="LimitExceeded",
        says="it took longer than @SECONDS@ s and was killed",
        limits={"seconds": 3},
        every_builder=True,
    ),
    Ending(
        name="endless-log",
        scripts={"build.sh": "yes 'all work and no play'"},
        kind="LimitExceeded",
        says="it took longer than @SECONDS@ s and was killed",
        limits={"seconds": 3},
        every_builder=True,
    ),
    Ending(
        name="fork-bomb",
        scripts={"build.sh": "while :; do sleep @NAP@ & done"},
        kind="LimitExceeded",
        says="it used more than 60 processes",
        limits={"processes": 60, "seconds": 40},
        every_builder=True,
    ),
    Ending(
        name="fill-memory",
        scripts={"build.sh": "perl -e '$x .= \"x\" x 1_000_000 while 1'"},
        kind="LimitExceeded",
        says="it used more than @MEMORY@ MiB of memory",
        limits={"memory": 96 * MIB, "disk": 128 * MIB, "seconds": 40},
        every_builder=True,
    ),
    Ending(
        name="fill-disk",
        scripts={"build.sh": "cat /dev/zero > large"},
        kind="LimitExceeded",
        says="it used more than @DISK@ MiB of disk",
        limits={"disk": 128 * MIB, "seconds": 40},
        every_builder=True,
    ),
    Ending(
        name="sparse-results",
        scripts={"after.sh": "truncate --size=100G $OUT/large.buildinfo"},
        kind="LimitExceeded",
        says="it used more than @DISK@ MiB of disk",
        limits={"disk": 128 * MIB},
    ),
    Ending(
        name="many-results",
        scripts={"after.sh": "for n in $(seq 2500); do : > $OUT/$n.buildinfo; done"},
        kind="ResultsInvalid",
        says="the build made more than 1000 files",
    ),
    Ending(
        name="setuid-results",
        scripts={"after.sh": "cp /bin/sh $OUT/shell.buildinfo; chmod 6777 $OUT/shell.buildinfo"},
        outcome=Outcome.SUCCEEDED,
    ),
    Ending(
        name="odd-file-name",
        scripts={"after.sh": "cp $OUT/evil[-_]*.[dr][ep][bm] \"$OUT/$(printf 'evil\\033[2J.buildinfo')\""},
        kind="SourceInvalid",
        says="the build made a file named 'evil\\x1b[2J.buildinfo'",
    ),
    Ending(
        name="same-name-twice",
        scripts={"after.sh": "for f in $OUT/evil[-_]*.[dr][ep][bm]; do cp $f $OUT/copy-$(basename $f); done"},
        kind="SourceInvalid",
        says=" inside",
    ),
    Ending(
        name="own-source-package",
        scripts={"after.sh": "find / -xdev -name 'evil-*.src.rpm' -exec cp {} $OUT ';' || true"},
        formats=(Format.RPM,),
        kind="ResultsInvalid",
        says="the build made a source package",
    ),
    Ending(
        name="foreign-name",
        scripts={"after.sh": f"{BOTH}make_$FORMAT victim 99 1 x"},
        kind="ForeignPackage",
        says="the build made a package that is not its own",
    ),
    Ending(
        name="control-characters",
        scripts={
            "after.sh": f"{BOTH}test $FORMAT = rpm || make_deb evil 1.1.0-1~deb13 'X-Evil: \\033[2J\\n'\n"
            "test $FORMAT = deb || make_rpm evil 1.1.0 1.local1 '\\001 x'"
        },
        kind="SourceInvalid",
        says="evil",
    ),
    Ending(
        name="setuid-in-package",
        scripts={
            "package.sh": "echo '#!/bin/sh' > $STAGE/usr/share/evil/shell; chmod 4755 $STAGE/usr/share/evil/shell"
        },
        outcome=Outcome.SUCCEEDED,
        says="has a file with rights of its own (setuid, setgid or capabilities): '",
    ),
    Ending(
        name="device-in-package",
        scripts={
            "package.sh": "echo '%dev(b, 8, 0) /usr/share/evil/sda' >> files.list",
            "after.sh": "test $FORMAT = rpm || fakeroot sh -c 'mknod debian/evil/usr/share/evil/sda b 8 0\n"
            "dpkg-deb --root-owner-group --build debian/evil ..'",
        },
        kind="ResultsInvalid",
        says="has a device node: ",
    ),
    Ending(
        name="bomb-in-package",
        scripts={
            "after.sh": """file=$(echo $OUT/evil[-_]*.[dr][ep][bm])
if [ $FORMAT = deb ]; then
    mkdir bomb && head -c 100M /dev/zero > bomb/other && cp debian/evil/DEBIAN/control bomb
    tar -C bomb -c other control | xz -0 > control.tar.xz
    ar x $file debian-binary data.tar.xz && rm $file && ar rc $file debian-binary control.tar.xz data.tar.xz
else
    perl -e 'open(my $f, "+<", $ARGV[0]); seek($f, 104, 0); print $f pack("NN", 0x0fffffff, 0x7fffffff)' $file
fi"""
        },
        kind="SourceInvalid",
        says="evil",
    ),
    Ending(
        name="endless-install",
        scripts={"postinst": "trap '' TERM\nsetsid sleep @NAP@ &\nsleep @NAP@"},
        kind="LimitExceeded",
        says="it took longer than @SECONDS@ s and was killed",
        limits={"seconds": 6},
    ),
)

# What a spec may run while it is parsed, which happens first when the source package is made.
SPEC_MACROS = {
    "spec-shell": "%global evil %(sh %{_sourcedir}/probes.sh 1>&2)",
    "spec-lua": "%{lua: os.execute('sh ' .. rpm.expand('%{_sourcedir}') .. '/probes.sh 1>&2')}",
}
SPEC_FILES = {"spec-include": "%include @SECRET@", "spec-load": "%{load:@SECRET@}"}
# Tried the real way, from a git repository: tests/hostile/test_upstreams.py, tests/contract/test_git_hostile.py.
FROM_GIT = ("git-attributes", "git-submodule", "tag-name", "build-scripts")
# Between packages: tests/hostile/test_attempts.py.
BETWEEN = ("names-of-another", "build-dependency")
# Every attempt, by the name it has in the table of docs/operating.md.
NAMES = tuple(
    dict.fromkeys(
        (
            *(probe.name for probe in PROBES),
            *(ending.name for ending in ENDINGS),
            *SPEC_MACROS,
            *SPEC_FILES,
            *FROM_GIT,
            *BETWEEN,
        )
    )
)


def script_of(probes: Sequence[Probe], bait: Bait) -> str:
    """One script that makes each of the attempts, whatever becomes of the others."""
    lines = [REACH, 'OUT="${OUT:-$PWD}"']
    for probe in probes:
        lines += [f"echo TRIED {probe.name}", "(", bait.fill(probe.script), ") 2>&1 || true"]
    return "\n".join(lines) + "\n"


def got(text: str) -> list[str]:
    """What attempts have succeeded."""
    return sorted({line.removeprefix("GOT ").strip() for line in text.splitlines() if line.startswith("GOT ")})


def tried(text: str) -> set[str]:
    return {line.removeprefix("TRIED ").strip() for line in text.splitlines() if line.startswith("TRIED ")}
