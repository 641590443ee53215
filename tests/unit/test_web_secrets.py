"""No secret is told by an answer, by the log, or by anything on the disk."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from conveyor.model.access import Permission
from conveyor.pipeline.access import secrets
from tests.support.access import (
    OWN,
    PASSWORD,
    add_probes,
    add_token,
    add_user,
    app_of,
    audited,
    bearer,
    conveyor_of,
    now_of,
    quicken,
)
from tests.support.web import serving

WRONG = "my other password"
PATHS = ("/probe/vote", "/probe/promote", "/api/v1/probe/refuses", "/probe/breaks", "/nothing", "/healthz")


def test_no_secret_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    with caplog.at_level(logging.DEBUG), serving(tmp_path) as opened:
        quicken(opened)
        add_probes(opened)
        client = TestClient(app_of(opened), raise_server_exceptions=False)
        add_user(opened, "ada", Permission.VOTE)
        token = add_token(opened, "ci", Permission.VOTE)
        secret = client.post("/sign-in", data={"name": "ada", "password": PASSWORD}, follow_redirects=False).cookies[
            "conveyor-session"
        ]
        csrf = secrets.csrf_of(secret)
        for revoked in (False, True):
            if revoked:
                conveyor_of(opened).tokens.revoke("ci", now_of(opened))
            for path in PATHS:
                sent = (bearer(token), bearer(token[:-1]), {"Origin": OWN, "X-CSRF-Token": csrf})
                told += [client.post(path, headers=headers).text for headers in sent]
                told.append(client.post(path, auth=("ada", WRONG)).text)
                told.append(client.post(path, auth=("ci", token)).text)
            told.append(client.post("/sign-in", data={"name": PASSWORD, "password": WRONG}).text)
            told.append(client.post("/sign-in", data={"name": "ada", "password": WRONG}).text)
            told.append(client.post("/sign-in", json={"name": "ada", "password": WRONG}).text)
        told.append(repr(audited(opened)))
        told.append(repr(conveyor_of(opened).tokens.all()) + repr(conveyor_of(opened).users.all()))
        told.append(repr(conveyor_of(opened).sessions.of_user("ada")))
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    assert len(caplog.records) > 0
    for hidden in (token, token[:-1], secret, WRONG, secrets.digest(token), secrets.digest(secret)):
        assert not [text for text in told if hidden in text]
        assert hidden not in caplog.text
    for hidden in (token, secret, csrf, PASSWORD, WRONG):
        assert hidden.encode() not in kept
    # What was typed into the field for the name is shown to who typed it, and to nobody else.
    assert PASSWORD not in caplog.text
