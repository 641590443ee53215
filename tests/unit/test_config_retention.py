"""`retention` in repos.yaml: what a good one says, and what each mistake gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.config import load_repos
from conveyor.errors import ConfigurationInvalid
from conveyor.model.published import Retention

DAY = 86400


def write(folder: Path, *, top: str = "", target: str = "") -> Path:
    (folder / "specs/nova").mkdir(parents=True, exist_ok=True)
    path = folder / "repos.yaml"
    path.write_text(
        f"{top}\n"
        "defaults: {targets: [debian-13-amd64]}\n"
        "targets:\n"
        "  debian-12-amd64: {format: deb, suite: bookworm}\n"
        f"  debian-13-amd64: {{format: deb, suite: trixie{target}}}\n"
        "packages:\n"
        "  nova: {upstream: https://opendev.org/openstack/nova}\n"
    )
    return path


def retention(folder: Path, *, top: str = "", target: str = "") -> tuple[Retention, Retention]:
    """Those of Debian 12, which says nothing, and of Debian 13."""
    found = load_repos(write(folder, top=top, target=target)).retention
    return found["debian-12-amd64"], found["debian-13-amd64"]


def mistakes(folder: Path, *, top: str = "", target: str = "") -> list[str]:
    with pytest.raises(ConfigurationInvalid) as raised:
        load_repos(write(folder, top=top, target=target))
    return [line.replace(f"{folder}/", "") for line in raised.value.details]


def test_without_it_everything_is_kept(tmp_path: Path) -> None:
    assert retention(tmp_path) == (Retention(), Retention())
    assert Retention().newest is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("{newest: 5}", Retention(newest=5)),
        ("{newest: 5, younger_than: 30d}", Retention(newest=5, younger_than=30 * DAY)),
        ("{younger_than: 12h}", Retention(newest=0, younger_than=DAY // 2)),
        ("{newest: 5, grace: 2h}", Retention(newest=5, grace=7200)),
    ],
)
def test_it_holds_for_every_target(tmp_path: Path, said: str, meant: Retention) -> None:
    assert retention(tmp_path, top=f"retention: {said}") == (meant, meant)


def test_a_target_s_own_stands_instead(tmp_path: Path) -> None:
    general, own = retention(tmp_path, top="retention: {newest: 5}", target=", retention: {younger_than: 7d}")
    assert (general, own) == (Retention(newest=5), Retention(newest=0, younger_than=7 * DAY))


def test_left_empty_in_a_target_it_is_switched_off(tmp_path: Path) -> None:
    assert retention(tmp_path, top="retention: {newest: 5}", target=", retention: ") == (
        Retention(newest=5),
        Retention(),
    )


def test_mistakes_are_told_with_line_and_key(tmp_path: Path) -> None:
    assert mistakes(tmp_path, top="retention: {newest: 0}") == [
        "repos.yaml:1: retention.newest: must be at least 1; would be right: 100"
    ]
    assert mistakes(tmp_path, target=", retention: {younger: 3d}") == [
        "repos.yaml:5: targets.debian-13-amd64.retention.younger: unknown key; did you mean 'younger_than'?"
    ]
    (nothing_kept,) = mistakes(tmp_path, top="retention: {grace: 3d}")
    assert nothing_kept.startswith("repos.yaml:1: retention: must have newest, younger_than or both; would be right:")
    assert mistakes(tmp_path, top="retention: 5") == [
        "repos.yaml:1: retention: is a number, must be a mapping of keys to values; docs/configuration.md describes it"
    ]
    assert len(mistakes(tmp_path, top="retention: {younger_than: soon}", target=", retention: [1]")) == 2
