"""Who may use which route: each of them, and everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from conveyor.config.web import WebEntry
from conveyor.model.access import Permission
from conveyor.web.access.auditing import SAFE
from tests.support.access import (
    PASSWORD,
    add_probes,
    add_session,
    add_token,
    add_user,
    app_of,
    bearer,
    conveyor_of,
    now_of,
    quicken,
    session_headers,
)
from tests.support.matrix import OPEN, Known, disarm, routes, table
from tests.support.web import serving

DOCS = Path(__file__).parents[2] / "docs" / "web.md"
# Who asks more often than that is another test's matter.
UNLIMITED = "rate_limit = 0\n" if "rate_limit" in WebEntry.model_fields else ""
REFUSED = {401, 403, 429}
FOREIGN = {"Origin": "https://evil.example.org"}


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Somebody who asks.

    Attributes:
        headers: what it sends along.
        may: what it may do.
        status: what it is told where it may not; that everywhere, where it may nothing.
    """

    headers: Mapping[str, str]
    may: frozenset[Permission] = frozenset()
    status: int = 403

    def expects(self, known: Known, *, is_open: bool) -> int | None:
        """The status of the refusal; None where it is let through."""
        if self.status == 401 and self.headers.get("Authorization"):
            return 401  # what it shows is nobody's (any more)
        granted = {Permission.READ} if is_open or self.may else set()
        granted |= self.may
        return None if known.needs in granted or Permission.ADMIN in granted else self.status


def askers(client: TestClient) -> dict[str, Asker]:
    """Everybody there is."""
    found = {"nobody": Asker(headers={}, status=401)}
    for one in Permission:
        may = frozenset({one})
        found[f"token that may {one}"] = Asker(headers=bearer(add_token(client, f"t-{one}", one)), may=may)
        session = add_session(client, f"s-{one}", one)
        found[f"session that may {one}"] = Asker(headers=session_headers(session), may=may)
    revoked = add_token(client, "revoked", Permission.ADMIN)
    conveyor_of(client).tokens.revoke("revoked", now_of(client))
    expired = add_token(client, "expired", Permission.ADMIN, lasts=timedelta(0))
    found["token that was revoked"] = Asker(headers=bearer(revoked), status=401)
    found["token that has expired"] = Asker(headers=bearer(expired), status=401)
    found["token that is nobody's"] = Asker(headers=bearer("cvy_x"), status=401)
    old = add_session(client, "old", Permission.ADMIN, lasts=timedelta(0))
    found["session that has expired"] = Asker(headers=session_headers(old), status=401)
    add_user(client, "gone", Permission.ADMIN)
    gone = add_session(client, "gone", issuer="")
    conveyor_of(client).users.set_disabled("gone", now_of(client), disabled=True)
    found["session of who is disabled"] = Asker(headers=session_headers(gone), status=401)
    return found


def status(client: TestClient, known: Known, headers: Mapping[str, str]) -> int:
    return client.request(known.method, known.url, headers=dict(headers), follow_redirects=False).status_code


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_everybody_is_let_through_where_that_is_right_and_nowhere_else(tmp_path: Path, is_open: bool) -> None:
    settings = f"[web]\nopen = {str(is_open).lower()}\n{UNLIMITED}"
    with serving(tmp_path, settings=settings, own_routes=True) as client:
        add_probes(client)
        disarm(app_of(client))
        everybody = askers(client)
        if is_open:  # for all others nothing is different from the closed site
            everybody = {name: asker for name, asker in everybody.items() if not asker.may - {Permission.READ}}
        wrong = []
        for known in routes(app_of(client)):
            if known.needs is None:
                continue
            for name, asker in everybody.items():
                quicken(client)  # nobody waits for what others tried
                answered, expected = status(client, known, asker.headers), asker.expects(known, is_open=is_open)
                right = answered == expected if expected else answered not in REFUSED
                if not right:
                    wrong.append(f"{known.method} {known.path}: {name}: {answered} and not {expected or 'let through'}")
    assert wrong == []


def test_nothing_acts_by_another_sites_page(tmp_path: Path) -> None:
    with serving(tmp_path, settings=f"[web]\n{UNLIMITED}", own_routes=True) as client:
        quicken(client)
        add_probes(client)
        disarm(app_of(client))
        secret = add_session(client, "ada", Permission.ADMIN)
        add_user(client, "grace", Permission.ADMIN)
        good = session_headers(secret)
        bad = {
            "another page": {**good, **FOREIGN},
            "another form": {**good, "X-CSRF-Token": "x"},
            "no page": {name: value for name, value in good.items() if name != "Origin"},
        }
        wrong = []
        for known in routes(app_of(client)):
            if known.needs is None or known.method in SAFE:
                continue
            wrong += [f"{known.path}: {name}" for name, sent in bad.items() if status(client, known, sent) != 403]
            answered = client.request(known.method, known.url, headers=FOREIGN, auth=("grace", PASSWORD)).status_code
            wrong += [f"{known.path}: Basic: {answered}"] if answered != 403 else []
    assert wrong == []


def test_every_route_says_what_it_needs(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        undeclared = {known.path for known in routes(app_of(client)) if known.needs is None}
        assert undeclared - set(OPEN) == set(), "let them take Reader, Voter ..., or say in OPEN why they need nothing"
        assert set(OPEN) - undeclared == set(), "they are not there, or need something"


def test_one_that_says_nothing_is_found(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        app_of(client).add_api_route("/forgotten", lambda: None, methods=["POST"])
        app_of(client).mount("/mounted", app_of(client))
        undeclared = {known.path for known in routes(app_of(client)) if known.needs is None}
        assert undeclared - set(OPEN) == {"/forgotten", "/mounted"}


def test_nothing_that_acts_is_open_to_who_may_only_look(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        acting = [known for known in routes(app_of(client)) if known.method not in SAFE]
        assert [known for known in acting if known.needs is Permission.READ] == []


def test_what_is_open_is_open(tmp_path: Path) -> None:
    with serving(tmp_path, settings="[web]\nopen = false\n") as client:
        for known in routes(app_of(client)):
            if known.needs is None:
                assert status(client, known, {}) not in REFUSED, known


def test_the_table_in_the_documentation_is_true(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        expected = table(app_of(client))
    assert expected in DOCS.read_text(encoding="utf-8"), (
        f"put this into docs/web.md (python -m tests.support.matrix prints it):\n{expected}"
    )
