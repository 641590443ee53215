"""`conveyor token`, `conveyor user` and `conveyor audit`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from conveyor.cli.main import app
from conveyor.errors import ConveyorError, NotPossible, UnknownName, UserError
from conveyor.pipeline.access.passwords import Passwords
from conveyor.store import open_books

PASSWORD = "correct horse battery"


class Site:
    """A data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, ["--data-dir", str(self.data), *arguments], input=stdin)

    def done(self, *arguments: str, stdin: str | None = None) -> str:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.done(*arguments, "--json"))
        return document

    def error(self, *arguments: str, stdin: str | None = None) -> ConveyorError:
        result = self.run(*arguments, stdin=stdin)
        assert isinstance(result.exception, ConveyorError), result.output
        return result.exception

    def user(self, name: str = "ada", *arguments: str) -> str:
        return self.done("user", "create", name, "--password-file", "-", *arguments, stdin=PASSWORD + "\n")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "data")


class TestTokens:
    def test_the_secret_is_told_once_and_kept_nowhere(self, site: Site) -> None:
        result = site.run("token", "create", "ci", "--may", "vote", "--may", "promote", "--expires", "90d")
        secret = result.stdout.strip()

        assert re.fullmatch(r"cvy_[A-Za-z0-9_-]{43}", secret)
        assert "token ci may promote, vote" in result.stderr
        assert secret not in result.stderr + site.done("token", "list") + site.done("audit", "--json")
        assert not any(secret.encode() in path.read_bytes() for path in site.data.rglob("*") if path.is_file())

    def test_they_are_listed_with_what_they_may(self, site: Site) -> None:
        site.done("token", "create", "ci", "--may", "vote", "--actor", "ada")
        site.done("token", "create", "old", "--may", "admin", "--expires", "1s", "--actor", "ada")
        site.done("token", "revoke", "ci")
        (ci, old) = site.json("token", "list")["tokens"]

        assert (ci["name"], ci["may"], ci["state"], ci["created_by"]) == ("ci", ["vote"], "revoked", "ada")
        assert (old["name"], old["may"], old["used_at"]) == ("old", ["admin"], None)
        assert old["expires_at"] is not None
        assert "revoked" in site.done("token", "list")

    def test_none_at_all(self, site: Site) -> None:
        assert "conveyor token create" in site.done("token", "list")
        assert "conveyor user create" in site.done("user", "list")
        assert "nothing of that" in site.done("audit")

    def test_the_next_of_a_name_works_when_the_first_is_revoked(self, site: Site) -> None:
        first = site.done("token", "create", "ci", "--may", "vote")
        error = site.error("token", "create", "ci", "--may", "vote")
        assert isinstance(error, NotPossible)
        assert "conveyor token revoke ci" in error.hint
        site.done("token", "revoke", "ci")
        assert site.done("token", "create", "ci", "--may", "vote") != first

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "-a", "x" * 101, "a\n", "\u202eci"])
    def test_what_is_no_name(self, site: Site, name: str) -> None:
        error = site.error("token", "create", "--may", "vote", "--", name)
        assert isinstance(error, UserError)
        assert "is no name" in error.what

    def test_what_is_no_time(self, site: Site) -> None:
        assert "--expires" in site.error("token", "create", "ci", "--may", "vote", "--expires", "soon").what

    def test_what_is_not_there_cannot_be_revoked(self, site: Site) -> None:
        assert isinstance(site.error("token", "revoke", "ci"), UnknownName)


class TestUsers:
    def test_the_password_is_kept_as_argon2_makes_it(self, site: Site) -> None:
        site.user("ada", "--may", "retry")
        books = open_books(f"sqlite:///{site.data}/conveyor.db")
        (user,) = books.users.all()
        books.store.close()

        assert user.password.startswith("$argon2id$")
        assert Passwords().fits(user.password, PASSWORD)
        assert not Passwords().fits(user.password, PASSWORD + "x")
        assert not Passwords().fits(None, PASSWORD)
        assert not any(PASSWORD.encode() in path.read_bytes() for path in site.data.rglob("*") if path.is_file())
        assert site.json("user", "list")["users"][0]["may"] == ["retry"]

    def test_one_is_asked_for_the_password_at_a_terminal_only(self, site: Site) -> None:
        error = site.error("user", "create", "ada", stdin=PASSWORD)
        assert "--password-file" in error.hint

    def test_it_can_come_from_a_file(self, site: Site, tmp_path: Path) -> None:
        (tmp_path / "password").write_text(PASSWORD + "\r\nmore\n")
        site.done("user", "create", "ada", "--password-file", str(tmp_path / "password"))
        (tmp_path / "password").write_bytes(b"\xff")
        assert "UTF-8" in site.error("user", "password", "ada", "--password-file", str(tmp_path / "password")).cause
        assert "cannot be read" in site.error("user", "password", "ada", "--password-file", str(tmp_path / "no")).what

    @pytest.mark.parametrize(
        "password", ["", "short", "x" * 12, "ada ada ada ada", "cvy_" + 40 * "x", "ab" * 600, "ababababababab"]
    )
    def test_what_is_no_password(self, site: Site, password: str) -> None:
        error = site.error("user", "create", "ada", "--password-file", "-", stdin=password + "\n")
        assert error.what.startswith("the password ")
        assert site.json("user", "list")["users"] == []

    def test_it_may_be_disabled_and_enabled(self, site: Site) -> None:
        site.user()
        site.done("user", "disable", "ada")
        assert site.json("user", "list")["users"][0]["disabled"]
        assert "disabled" in site.done("user", "list")
        site.done("user", "enable", "ada")
        assert not site.json("user", "list")["users"][0]["disabled"]
        site.done("user", "password", "ada", "--password-file", "-", stdin="another good one\n")
        assert "0 times" in site.done("user", "sign-out", "ada")

    def test_what_it_may_do_can_change(self, site: Site) -> None:
        site.user("ada", "--may", "retry")
        said = site.done("user", "permit", "ada", "--may", "vote", "--may", "promote", "--actor", "ada")
        assert said == "user ada may promote, vote\n"
        assert site.json("user", "list")["users"][0]["may"] == ["promote", "vote"]
        assert site.run("user", "permit", "ada").exit_code == 2
        deed = site.json("audit")["entries"][-1]
        assert (deed["action"], deed["subject"]) == ("user permit", "ada")
        assert deed["detail"] == {"may": ["promote", "vote"], "before": ["retry"]}

    def test_it_can_be_deleted_the_last_that_may_admin_too(self, site: Site) -> None:
        site.user("ada", "--may", "admin")
        assert site.done("user", "delete", "ada", "--actor", "ada") == "user ada is kept no more\n"
        assert site.json("user", "list")["users"] == []
        assert isinstance(site.error("user", "delete", "ada"), UnknownName)
        assert [deed["result"] for deed in site.json("audit")["entries"]] == ["done", "done", "refused"]
        site.user("ada")

    def test_nobody_is_called_as_another(self, site: Site) -> None:
        site.user("ada")
        assert isinstance(site.error("token", "create", "ada", "--may", "vote"), NotPossible)
        site.done("token", "create", "ci", "--may", "vote")
        error = site.error("user", "create", "ci", "--password-file", "-", stdin=PASSWORD)
        assert "a token is called 'ci'" in error.what

    def test_one_that_is_not_there(self, site: Site) -> None:
        assert isinstance(site.error("user", "disable", "ada"), UnknownName)


class TestAudit:
    def test_it_tells_who_did_what_and_what_became_of_it(self, site: Site) -> None:
        site.done("token", "create", "ci", "--may", "vote", "--actor", "ada")
        site.error("token", "revoke", "other", "--actor", "grace")
        first, second = site.json("audit")["entries"]

        assert (first["number"], first["actor"], first["means"], first["action"], first["subject"]) == (
            1,
            "ada",
            "command",
            "token create",
            "ci",
        )
        assert (first["result"], first["detail"]) == ("done", {"may": ["vote"], "lasts": None})
        assert (second["actor"], second["result"]) == ("grace", "refused")
        assert "no token called" in second["detail"]["error"]

    def test_it_can_be_searched(self, site: Site) -> None:
        site.done("token", "create", "ci", "--may", "vote", "--actor", "ada")
        site.done("token", "revoke", "ci", "--actor", "grace")

        def found(*options: str) -> list[int]:
            return [entry["number"] for entry in site.json("audit", *options)["entries"]]

        assert found() == [1, 2]
        assert found("--actor", "ada") == [1]
        assert found("--action", "revoke") == [2]
        assert found("--subject", "ci", "--before", "2") == [1]
        assert found("--result", "failed") == []
        assert found("--since", "1h ago", "--limit", "1") == [2]
        assert "token revoke" in site.done("audit")
