"""Site settings: the file, the variables that win over it, and what mistakes in either get."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conveyor.config import DaemonSettings, Scratch, Settings, SigningSettings, Surroundings, load_settings
from conveyor.config.daemon import LogLevel, default_workers
from conveyor.config.settings_sources import toml_lines, variables
from conveyor.config.web import WebSettings
from conveyor.errors import ConfigurationInvalid
from conveyor.model.mirror import Mirror
from conveyor.model.target import Limits
from conveyor.model.watch import Polling

HOME = {"HOME": "/home/ann", "PATH": "/bin"}


def around(folder: Path, *, superuser: bool = False) -> Surroundings:
    return Surroundings(folder=folder / "here", site=folder / "etc", superuser=superuser)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "etc").mkdir()
    return tmp_path


def load(folder: Path, text: str | None = None, environ: Mapping[str, str] = HOME) -> Settings:
    if text is not None:
        (folder / "here/conveyor.toml").write_text(text, encoding="utf-8")
    return load_settings(None, environ, surroundings=around(folder))


def mistakes(folder: Path, text: str | None, environ: Mapping[str, str] = HOME) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as raised:
        load(folder, text, environ)
    return [line.removeprefix(f"{folder}/here/") for line in raised.value.details]


def test_nothing_needs_to_be_set(folder: Path) -> None:
    assert load(folder) == Settings(
        source=None,
        repos=folder / "here/repos.yaml",
        data_dir=Path("/home/ann/.local/share/conveyor"),
        base_url="file:///home/ann/.local/share/conveyor/repos",
        repository_name="conveyor",
        database="sqlite:////home/ann/.local/share/conveyor/conveyor.db",
        git_timeout=1800,
        rewrites={},
        mirror=None,
        sandbox_uid=64123,
        mock_user="conveyor-mock",
        scratch=Scratch.AUTO,
        base_max_age=7 * 86400,
        buildroot_limit=40 * 2**30,
        min_free_disk=2**30,
        limits=Limits(seconds=1800, memory=4 * 2**30, disk=8 * 2**30, processes=1000),
        signing=SigningSettings(
            key=None,
            also=(),
            retired=(),
            home=Path("/home/ann/.local/share/conveyor/gnupg"),
            passphrase_file=None,
            unsigned=False,
        ),
        daemon=DaemonSettings(
            workers=default_workers(),
            retries=12,
            retry_wait=300,
            stop_within=60,
            lost_after=120,
            builds_per_worker=100,
            worker_memory=2**30,
            collect_interval=86400,
            cascade_limit=5,
            listen=None,
            remind_after=7 * 86400,
            stale_after=6 * 3600,
            log_level=LogLevel.INFO,
        ),
        web=WebSettings(
            listen="127.0.0.1:8080",
            url=None,
            open=True,
            trusted_proxies=(),
            session_time=12 * 3600,
            rate_limit=1200,
            oidc=None,
            dlrn_target=None,
            hooks={},
        ),
        polling=Polling(interval=300, at_once=8, per_host=4, time_limit=60, retry_start=60, retry_limit=3600),
        mirrors=(),
        mail=None,
        webhooks=(),
        commands=(),
        container_command=None,
        container_run_flags=None,
    )


FULL = """\
data_dir = "data"
base_url = "https://trunk.example.org/"
repos = "../repos.yaml"
repository_name = "trunk"
database = "postgresql+psycopg://me:secret@db/conveyor"
git_timeout = 90
mirror = "https://mirror.example.org/debian"
sandbox_uid = 2000
mock_user = "builder"
scratch = "memory"
base_max_age = "2d"
buildroot_limit = "100G"
min_free_disk = "5G"
container_command = ["podman", "--runtime", "runc"]
container_run_flags = []

[limits]
time = "1h"
processes = 50

[signing]
key = "0123456789abcdef0123456789abcdef01234567"
also = ["ABCDEF0123456789ABCDEF0123456789ABCDEF01"]
home = "keys"
passphrase_file = "unlock/passphrase"

[daemon]
workers = 7
retries = 0
stop_within = "5m"
[web]
listen = "[::1]:8081"
url = "https://conveyor.example.org/"
open = false
trusted_proxies = ["127.0.0.1", "2001:db8::/32"]
session_time = "1h"
rate_limit = 90
dlrn_target = "centos-10-x86_64"

[polling]
interval = "2h"
at_once = 16
per_host = 2
time_limit = "30s"
retry_start = "90s"
retry_limit = "1d"

[rewrites]
"https://opendev.org/" = "file:///srv/mirrors/"
"git@example.org:" = "ssh://git@mirror.example.org/"

[[mirrors]]
name = "eu"
destination = "me@m.example.org:/srv/trunk"
targets = ["debian-13-amd64"]
port = 2222
identity = "/etc/conveyor/key"
bandwidth = "10M"
stall_limit = "1m"
time_limit = "1h"
delete = false

[[mirrors]]
name = "us"
destination = "rsync://m.example.org/trunk"
password_file = "/etc/conveyor/password"

[[mirrors]]
name = "disk"
destination = "/srv/the mirror"
"""


def test_the_file_sets_everything(folder: Path) -> None:
    settings = load(folder, FULL)
    assert settings == Settings(
        source=folder / "here/conveyor.toml",
        repos=folder / "here/../repos.yaml",
        data_dir=folder / "here/data",
        base_url="https://trunk.example.org",
        repository_name="trunk",
        database="postgresql+psycopg://me:secret@db/conveyor",
        git_timeout=90,
        rewrites={
            "https://opendev.org/": "file:///srv/mirrors/",
            "git@example.org:": "ssh://git@mirror.example.org/",
        },
        mirror="https://mirror.example.org/debian",
        sandbox_uid=2000,
        mock_user="builder",
        scratch=Scratch.MEMORY,
        base_max_age=2 * 86400,
        buildroot_limit=100 * 2**30,
        min_free_disk=5 * 2**30,
        limits=Limits(seconds=3600, memory=4 * 2**30, disk=8 * 2**30, processes=50),
        signing=SigningSettings(
            key="0123456789ABCDEF0123456789ABCDEF01234567",
            also=("ABCDEF0123456789ABCDEF0123456789ABCDEF01",),
            retired=(),
            home=folder / "here/keys",
            passphrase_file=folder / "here/unlock/passphrase",
            unsigned=False,
        ),
        daemon=DaemonSettings(
            workers=7,
            retries=0,
            retry_wait=300,
            stop_within=300,
            lost_after=120,
            builds_per_worker=100,
            worker_memory=2**30,
            collect_interval=86400,
            cascade_limit=5,
            listen=None,
            remind_after=7 * 86400,
            stale_after=6 * 3600,
            log_level=LogLevel.INFO,
        ),
        web=WebSettings(
            listen="[::1]:8081",
            url="https://conveyor.example.org",
            open=False,
            trusted_proxies=(ip_network("127.0.0.1"), ip_network("2001:db8::/32")),
            session_time=3600,
            rate_limit=90,
            oidc=None,
            dlrn_target="centos-10-x86_64",
            hooks={},
        ),
        polling=Polling(interval=7200, at_once=16, per_host=2, time_limit=30, retry_start=90, retry_limit=86400),
        mirrors=(
            Mirror(
                name="eu",
                destination="me@m.example.org:/srv/trunk",
                targets=("debian-13-amd64",),
                port=2222,
                identity="/etc/conveyor/key",
                bandwidth=10 * 2**20,
                stall_limit=60,
                time_limit=3600,
                delete=False,
            ),
            Mirror(name="us", destination="rsync://m.example.org/trunk", password_file="/etc/conveyor/password"),
            Mirror(name="disk", destination="/srv/the mirror"),
        ),
        mail=None,
        webhooks=(),
        commands=(),
        container_command=("podman", "--runtime", "runc"),
        container_run_flags=(),
    )
    assert "secret" not in repr(settings)


def test_variables_win(folder: Path) -> None:
    environ = {
        "CONVEYOR_DATA_DIR": "elsewhere",
        "CONVEYOR_GIT_TIMEOUT": "5m",
        "CONVEYOR_SANDBOX_UID": "3000",
        "CONVEYOR_LIMITS_PROCESSES": "7",
        "CONVEYOR_LIMITS_DISK": "1G",
        "CONVEYOR_DAEMON_RETRIES": "5",
        "CONVEYOR_REWRITES": '{"https://a/": "https://b/"}',
        "CONVEYOR_MIRROR": "",
        "CONVEYOR_CONTAINER_COMMAND": '["docker"]',
    }
    settings = load(folder, FULL, environ)
    assert settings.container_command == ("docker",)
    assert settings.data_dir == folder / "here/elsewhere"
    assert (settings.git_timeout, settings.sandbox_uid) == (300, 3000)
    assert (settings.daemon.workers, settings.daemon.retries) == (7, 5)
    assert settings.limits == Limits(seconds=3600, memory=4 * 2**30, disk=2**30, processes=7)
    assert settings.rewrites == {"https://a/": "https://b/"}
    assert settings.mirror == "https://mirror.example.org/debian"


def test_signing_by_variables_and_its_mistakes(folder: Path) -> None:
    key, other = "A" * 40, "b" * 40
    environ = {**HOME, "CONVEYOR_SIGNING_KEY": key, "CONVEYOR_SIGNING_HOME": "keys"}
    environ["CONVEYOR_SIGNING_RETIRED"] = f'["{other}"]'
    signing = load(folder, environ=environ).signing
    assert (signing.key, signing.home, signing.retired) == (key, folder / "here/keys", ("B" * 40,))
    assert load(folder, environ={**HOME, "CONVEYOR_SIGNING_UNSIGNED": "true"}).signing.unsigned

    assert mistakes(folder, f'[signing]\nkey = "{key}"\nunsigned = true\n') == [
        "conveyor.toml:2: signing: 'unsigned' and 'key' exclude each other"
    ]
    assert mistakes(folder, f'[signing]\nretired = ["{other}"]\n') == [
        "conveyor.toml:2: signing: 'also' and 'retired' need a 'key'"
    ]
    right = "would be right: 70773E7B6A164A26E5028F0DF9BCDE428CBFF8F6"
    assert mistakes(folder, '[signing]\nkey = "0xABCDEF"\nkeys = "x"\n') == [
        f"conveyor.toml:2: signing.key: '0xABCDEF' is no fingerprint of 40 hex digits; {right}",
        "conveyor.toml:3: signing.keys: unknown key; did you mean 'key'?",
    ]
    assert mistakes(folder, "", {**HOME, "CONVEYOR_SIGNING_UNSIGNED": "yes"}) == [
        "CONVEYOR_SIGNING_UNSIGNED: is the text 'yes', must be true or false; would be right: true"
    ]


def test_polling_by_variables_and_its_mistakes(folder: Path) -> None:
    environ = {**HOME, "CONVEYOR_POLLING_INTERVAL": "90s", "CONVEYOR_POLLING_AT_ONCE": "3"}
    assert load(folder, environ=environ).polling == Polling(interval=90, at_once=3)
    keys = Polling.__dataclass_fields__
    assert mistakes(folder, '[polling]\ninterval = "often"\nat_once = 0\nper_host = "4"\nevery = "5m"\n') == [
        "conveyor.toml:2: polling.interval: 'often' is no duration; would be right: 30m, 90s, 2h or 7d",
        "conveyor.toml:3: polling.at_once: must be at least 1; would be right: 8",
        "conveyor.toml:4: polling.per_host: is the text '4', must be a whole number; would be right: 4",
        f"conveyor.toml:5: polling.every: unknown key; would be right: {', '.join(sorted(keys))}",
    ]
    assert mistakes(folder, '[polling]\nretry_start = "2h"\n') == [
        "conveyor.toml:2: polling: 'retry_limit' is less than 'retry_start'; would be right: retry_limit = \"1h\""
    ]
    assert mistakes(folder, "", {**HOME, "CONVEYOR_POLLING_PER_HOST": "many"}) == [
        "CONVEYOR_POLLING_PER_HOST: is the text 'many', must be a whole number; would be right: 4"
    ]


def test_the_web_by_variables_and_its_mistakes(folder: Path) -> None:
    environ = {**HOME, "CONVEYOR_WEB_TRUSTED_PROXIES": '["10.0.0.0/8"]', "CONVEYOR_WEB_OPEN": "false"}
    web = load(folder, "", environ).web
    assert (web.trusted_proxies, web.open) == ((ip_network("10.0.0.0/8"),), False)
    assert mistakes(folder, '[web]\ntrusted_proxies = ["10.0.0.1/8", "proxy"]\n', HOME) == [
        (
            f"conveyor.toml:2: web.trusted_proxies[{place}]: {name!r} is no address and no network; "
            "would be right: 127.0.0.1, 10.0.0.0/8 or 2001:db8::/32"
        )
        for place, name in enumerate(["10.0.0.1/8", "proxy"])
    ]


def test_every_setting_has_a_variable() -> None:
    settings = {name for name in Settings.__dataclass_fields__ if name not in {"source", "limits"}}
    assert {loc[0] for loc in variables().values()} == settings | {"limits", "signing", "daemon"}
    assert variables()["CONVEYOR_LIMITS_TIME"] == ("limits", "time")


def test_where_files_are_looked_for(folder: Path) -> None:
    (folder / "etc/conveyor.toml").write_text('repository_name = "site"')
    (folder / "etc/repos.yaml").touch()
    assert (load(folder).repository_name, load(folder).repos) == ("site", folder / "etc/repos.yaml")

    (folder / "here/repos.yaml").touch()
    assert load(folder).repos == folder / "here/repos.yaml"
    assert load(folder, 'repository_name = "here"').repository_name == "here"

    (folder / "there").mkdir()
    (folder / "there/conveyor.toml").write_text('repository_name = "there"')
    assert load(folder, environ={**HOME, "CONVEYOR_REPOS": "../there/repos.yaml"}).repository_name == "there"

    named = load_settings(folder / "there/conveyor.toml", HOME, surroundings=around(folder))
    assert (named.repository_name, named.source) == ("there", folder / "there/conveyor.toml")


def test_where_data_is_kept(folder: Path) -> None:
    assert load_settings(None, {}, surroundings=around(folder, superuser=True)).data_dir == Path("/var/lib/conveyor")
    assert load(folder, environ={"XDG_DATA_HOME": "/xdg"}).data_dir == Path("/xdg/conveyor")
    relative = {"XDG_DATA_HOME": "xdg", "HOME": "/home/ann"}
    assert load(folder, environ=relative).data_dir == Path("/home/ann/.local/share/conveyor")
    assert mistakes(folder, None, {}) == [
        "CONVEYOR_DATA_DIR: is missing, and neither XDG_DATA_HOME nor HOME says where; would be right: /srv/conveyor"
    ]


def test_a_named_file_must_exist(folder: Path) -> None:
    with pytest.raises(ConfigurationInvalid) as raised:
        load_settings(folder / "none.toml", HOME, surroundings=around(folder))
    assert raised.value.summary == f"{folder}/none.toml cannot be read: No such file or directory"


def test_this_process_is_the_default_surroundings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "here")
    (folder / "here/conveyor.toml").write_text('data_dir = "/srv/data"')
    assert load_settings(None, HOME) == load(folder)


@pytest.mark.parametrize("character", [":", '"'])
def test_a_data_folder_that_apt_cannot_handle(folder: Path, character: str) -> None:
    (mistake,) = mistakes(folder, f"data_dir = '/srv/con{character}veyor'", HOME)
    assert f"has {character!r} in it, which apt cannot handle" in mistake


RIGHT_URL = "would be right: a prefix such as https://opendev.org/ or file:///srv/mirrors/"


def test_mistakes_are_told_at_once_with_their_places(folder: Path) -> None:
    text = """\
git_timeout = "soon"
data_dirr = "x"
data_dir = "~/conveyor"
sandbox_uid = 0
database = "mysql://me:secret@db/x"
base_url = "ftp://x"
scratch = "memry"
min_free_disk = 1.5
repository_name = 3
container_command = []
container_run_flags = ["--ulimit", ""]

[limits]
memori = "3G"
processes = "many"

[rewrites]
"https://a/" = "b"
"ext::" = "https://b/"
"""
    environ = {
        **HOME,
        "CONVEYOR_BASEURL": "x",
        "CONVEYOR_MIRROR": "x",
        "CONVEYOR_LIMITS_TIME": "1y",
        "CONVEYOR_LIMITS_PROCESSES": "-1",
    }
    whole = f"{folder}/here/~/conveyor"
    cut = repr(whole if len(whole) <= 60 else whole[:57] + "...")
    assert mistakes(folder, text, environ) == [
        "conveyor.toml:1: git_timeout: 'soon' is no duration; would be right: 30m, 90s, 2h or 7d",
        "conveyor.toml:2: data_dirr: unknown key; did you mean 'data_dir'?",
        f"conveyor.toml:3: data_dir: {cut} is no path; would be right: /srv/conveyor",
        "conveyor.toml:4: sandbox_uid: must be at least 1; would be right: 64123",
        (
            "conveyor.toml:5: database: is no database URL; would be right: sqlite:////srv/conveyor/conveyor.db or "
            "postgresql://host/conveyor"
        ),
        "conveyor.toml:6: base_url: scheme 'ftp' is not allowed; would be right: https://repos.example.org/trunk",
        "conveyor.toml:7: scratch: unknown place for scratch 'memry'; did you mean 'memory'?",
        "conveyor.toml:8: min_free_disk: is a number; would be right: a number with its unit, such as 30m or 4G",
        "conveyor.toml:9: repository_name: is a number, must be text; would be right: quotes around it",
        (
            "conveyor.toml:10: container_command: is empty; would be right: "
            '["podman", "--cgroup-manager=cgroupfs", "--runtime", "runc"]'
        ),
        "conveyor.toml:11: container_run_flags[1]: '' is no argument of a command; would be right: --ulimit",
        "conveyor.toml:14: limits.memori: unknown key; did you mean 'memory'?",
        f"conveyor.toml:17: rewrites.'https://a/': no URL: it has no scheme; {RIGHT_URL}",
        f"conveyor.toml:17: rewrites.'ext::': no URL: it has no scheme; {RIGHT_URL}",
        "CONVEYOR_BASEURL: unknown variable; did you mean 'CONVEYOR_BASE_URL'?",
        "CONVEYOR_LIMITS_PROCESSES: is the text '-1', must be a whole number; would be right: 1000",
        "CONVEYOR_LIMITS_TIME: '1y' is no duration; would be right: 30m, 90s, 2h or 7d",
        "CONVEYOR_MIRROR: no URL: it has no scheme; would be right: https://repos.example.org/trunk",
    ]


def test_mistakes_in_mirrors_are_told_at_their_lines(folder: Path) -> None:
    text = """\
[[mirrors]]
name = "a/b"
destination = "-e sh"
port = 0

[[mirrors]]
destination = "rsync://me:secret@m/x"
identety = "/k"

[[mirrors]]
name = "eu"
destination = "/srv/m"
identity = "/k"

[[mirrors]]
name = "us"
destination = "m:x"
identity = "/a key"
targets = ["../x"]
"""
    right = "would be right: rsync://mirror.example.org/module, user@mirror.example.org:/srv/trunk, or /srv/mirror"
    assert mistakes(folder, text) == [
        "conveyor.toml:2: mirrors[0].name: 'a/b' is no mirror name; would be right: eu",
        f"conveyor.toml:3: mirrors[0].destination: '-e sh' is no destination; {right}",
        "conveyor.toml:4: mirrors[0].port: must be at least 1; would be right: 873",
        "conveyor.toml:6: mirrors[1].name: is missing; would be right: eu",
        f"conveyor.toml:7: mirrors[1].destination: 'rsync://me:secret@m/x' is no destination; {right}",
        "conveyor.toml:8: mirrors[1].identety: unknown key; did you mean 'identity'?",
        "conveyor.toml:10: mirrors[2]: 'identity' has no meaning for '/srv/m'; would be right: without it",
        (
            "conveyor.toml:18: mirrors[3].identity: '/a key' has a blank or a quote in it; "
            "would be right: /etc/conveyor/mirror-key"
        ),
        "conveyor.toml:19: mirrors[3].targets[0]: '../x' is no target name; would be right: debian-13-amd64",
    ]


def test_mirrors_have_names_of_their_own(folder: Path) -> None:
    one = '[[mirrors]]\nname = "eu"\ndestination = "/srv/m"\n'
    assert mistakes(folder, one + one) == [
        "conveyor.toml:1: mirrors: two are called 'eu'; would be right: a name for each"
    ]


@pytest.mark.parametrize(
    "destination",
    [
        "m:x",
        "me@m.example.org:/srv/trunk",
        "m:~/trunk",
        "rsync://m/x",
        "rsync://me@[2001:db8::1]:8730/x/y",
        "/srv/m",
    ],
)
def test_places_of_mirrors(folder: Path, destination: str) -> None:
    (mirror,) = load(
        folder, None, {**HOME, "CONVEYOR_MIRRORS": json.dumps([{"name": "a", "destination": destination}])}
    ).mirrors
    assert mirror.destination == destination


@pytest.mark.parametrize(
    "destination",
    ["", "x", "m:", "m::x", "-m:x", "m:-x", "m:x y", "m:$(x)", "rsync://m", "rsync:///x", "http://m/x", "a\nb:x"],
)
def test_what_is_no_place_of_a_mirror(folder: Path, destination: str) -> None:
    environ = {**HOME, "CONVEYOR_MIRRORS": json.dumps([{"name": "a", "destination": destination}])}
    (mistake,) = mistakes(folder, None, environ)
    assert "is no destination" in mistake


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "https://a/=https://b/",
            (
                "CONVEYOR_REWRITES: is the text 'https://a/=https://b/', must be a mapping of keys to values; would be "
                "right: "
                '"https://opendev.org/" to "file:///srv/mirrors/"'
            ),
        ),
        (
            '{"https://a/": 3}',
            "CONVEYOR_REWRITES: 'https://a/': is a number, must be text; would be right: quotes around it",
        ),
        ('{"a": "https://b/"}', f"CONVEYOR_REWRITES: a: no URL: it has no scheme; {RIGHT_URL}"),
    ],
)
def test_rewrites_in_a_variable_are_json(folder: Path, value: str, expected: str) -> None:
    assert mistakes(folder, None, {**HOME, "CONVEYOR_REWRITES": value}) == [expected]


def test_json_without_end_is_no_accident(folder: Path) -> None:
    assert len(mistakes(folder, None, {**HOME, "CONVEYOR_REWRITES": "[" * 100_000})) == 1


def test_a_mistake_names_what_it_is_in(folder: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"^the environment has 1 mistake"):
        load(folder, "", {**HOME, "CONVEYOR_X": "1"})
    with pytest.raises(ConfigurationInvalid, match=r"^conveyor\.toml has 2 mistakes"):
        load(folder, "x = 1", {**HOME, "CONVEYOR_X": "1"})


@pytest.mark.parametrize(
    ("text", "line"), [('a = "x\n', 1), ("a = 1\nb\n", 2), ("a = 1\na = 2\n", 2), ("a = [1,\n\n", 3)]
)
def test_a_file_that_is_not_toml(folder: Path, text: str, line: int) -> None:
    (found,) = mistakes(folder, text)
    assert found.startswith(f"conveyor.toml:{line}: is not TOML: ")
    assert found.endswith('; would be right: lines such as `git_timeout = "30m"`')


def test_where_the_keys_of_a_file_stand() -> None:
    text = 'a = 1\n# b = 2\n"c d".e = 3\n[f]\ng = 4\n[h."i.j"]\nk=5\n'
    assert toml_lines(text) == {
        ("a",): 1,
        ("c d", "e"): 3,
        ("f",): 4,
        ("f", "g"): 5,
        ("h", "i.j"): 6,
        ("h", "i.j", "k"): 7,
    }


PIECES = st.sampled_from(
    [
        *variables(),
        *("data_dir", "limits", "rewrites", "time", "repos", "sandbox_uid = 1", "https://a/", "1979-05-27", "30m"),
        *(" = ", "\n", "[", "]", "{", "}", '"', "'", '"""', ",", ".", "#", "\t", "\x00", "é", "\\u0000"),
        *("1", "0x1f", "inf", "true"),
    ]
)


@hypothesis_settings(
    derandomize=True, deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.lists(PIECES, max_size=30).map("".join), values=st.dictionaries(PIECES, st.text(max_size=5), max_size=3))
@example(text="git_timeout = " + "9" * 5000, values={})
@example(text="x = " + "[" * 5000, values={})
@example(text="limits = 3", values={"CONVEYOR_LIMITS_TIME": "3m"})
@example(text='data_dir = "a\\u0000b"\nrepos = "a\\u0000b"', values={})
@example(text="", values={"CONVEYOR_REPOS": "a\0b"})
@example(text="", values={"CONVEYOR_DATA_DIR": "\udc80"})
def test_nothing_written_is_an_accident(tmp_path: Path, text: str, values: dict[str, str]) -> None:
    (tmp_path / "here").mkdir(exist_ok=True)
    try:
        loaded = load(tmp_path, text, {**HOME, **values})
    except ConfigurationInvalid as error:
        loaded = None
        lines = error.details
    assert loaded or lines


def test_after_how_long_people_are_reminded(folder: Path) -> None:
    assert load(folder, '[daemon]\nremind_after = "2d"\n').daemon.remind_after == 2 * 86400
    assert load(folder, '[daemon]\nremind_after = "never"\n').daemon.remind_after is None
    for wrong in ('"0s"', '"none"'):
        (mistake,) = mistakes(folder, f"[daemon]\nremind_after = {wrong}\n")
        assert "is no duration; would be right: 30m, 90s, 2h or 7d" in mistake


def test_where_the_daemon_can_be_asked(folder: Path) -> None:
    text = '[daemon]\nlisten = "[::1]:9190"\nstale_after = "1h"\nlog_level = "debug"\n'
    daemon = load(folder, text).daemon
    assert (daemon.listen, daemon.stale_after, daemon.log_level) == ("[::1]:9190", 3600, LogLevel.DEBUG)
    assert mistakes(folder, '[daemon]\nlisten = "9190"\nlog_level = "loud"\n') == [
        "conveyor.toml:2: daemon.listen: '9190' is no address to listen on; would be right: 127.0.0.1:9190",
        "conveyor.toml:3: daemon.log_level: unknown level 'loud'; would be right: debug, error, info, warning",
    ]
    for address in ("", "x:99999", "::1:80", "a b:1", "x:", "127.0.0.1:9190\\n"):
        (mistake,) = mistakes(folder, f'[daemon]\nlisten = "{address}"\n')
        assert "is no address to listen on" in mistake
