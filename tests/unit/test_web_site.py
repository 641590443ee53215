"""What the web answers from, and what every answer has."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.web import site as site_module
from tests.support.web import REPOS, serving


def test_it_is_alive_and_ready_and_lets_no_page_run_strange_scripts(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.get("/healthz").json() == {"alive": True}
        answer = client.get("/readyz")
    assert answer.json() == {"ready": True, "reasons": []}
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_not_there_is_a_problem_document(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        answer = client.get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "status": 404, "title": "Not Found"}


def test_a_broken_edit_keeps_the_configuration_before_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "LOOK_EVERY", 0.0)
    with serving(tmp_path) as client:
        (tmp_path / "repos.yaml").write_text("targets: {a b: {}}\n")
        answers = [client.get("/readyz").json() for _ in range(3)]
        assert "repos.yaml" in answers[-1]["reasons"][0]
        (tmp_path / "repos.yaml").write_text(REPOS + "# mended\n")
        assert [client.get("/readyz").json()["reasons"] for _ in range(3)][-1] == []
