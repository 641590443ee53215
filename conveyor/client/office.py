"""Tokens, users and the audit log of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from conveyor.client.connection import Connection, open_connection, part
from conveyor.documents.access import deeds_from_json, tokens_from_json, users_from_json
from conveyor.model.access import AuditEntry, AuditQuery, Permissions, Token, User
from conveyor.pipeline.access.office import Office

AT_ONCE = 500


@contextmanager
def open_office(server: str, token: str | None, transport: httpx.BaseTransport | None = None) -> Iterator[Office]:
    """Those of a server, let go of at the end.

    Raises:
        UserError: it is no Conveyor server.
        NetworkError: it cannot be reached.
    """
    with open_connection(server, token, transport) as connection:
        yield HttpOffice(connection)


class HttpOffice:
    """See `conveyor.pipeline.access.office.Office`. The server knows who acts by the token.

    Args:
        connection: the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tokens(self) -> tuple[Token, ...]:
        """See the port. What is kept of secrets is not told."""
        return tokens_from_json(self._connection.get("/tokens"))

    def create_token(self, name: str, permissions: Permissions, lasts: int | None) -> str:
        """See the port."""
        wish = {"name": name, "may": sorted(permissions), "lasts": lasts}
        return str(self._connection.act("POST", "/tokens", wish)["secret"])

    def revoke_token(self, name: str) -> None:
        """See the port."""
        self._connection.act("DELETE", f"/tokens/{part(name)}")

    def users(self) -> tuple[User, ...]:
        """See the port. What is kept of passwords is not told."""
        return users_from_json(self._connection.get("/users"))

    def create_user(self, name: str, permissions: Permissions, ask: Callable[[], str]) -> None:
        """See the port."""
        wish = {"name": name, "may": sorted(permissions), "password": ask()}
        self._connection.act("POST", "/users", wish)

    def set_password(self, name: str, ask: Callable[[], str]) -> None:
        """See the port."""
        self._connection.act("PUT", f"/users/{part(name)}/password", {"password": ask()})

    def set_disabled(self, name: str, *, disabled: bool) -> None:
        """See the port."""
        self._connection.act("PUT", f"/users/{part(name)}/disabled", {"disabled": disabled})

    def permit(self, name: str, permissions: Permissions) -> None:
        """See the port."""
        self._connection.act("PUT", f"/users/{part(name)}/permissions", {"may": sorted(permissions)})

    def delete_user(self, name: str) -> None:
        """See the port."""
        self._connection.act("DELETE", f"/users/{part(name)}")

    def sign_out(self, name: str) -> int:
        """See the port."""
        return int(self._connection.act("DELETE", f"/users/{part(name)}/sessions")["ended"])

    def deeds(self, query: AuditQuery) -> tuple[AuditEntry, ...]:
        """See the port."""
        found: list[AuditEntry] = []
        cursor = str(query.before) if query.before is not None else None
        while len(found) < query.limit:
            page = self._connection.get(
                "/audit",
                actor=query.actor,
                action=query.action,
                subject=query.subject,
                result=query.result,
                since=query.since.isoformat() if query.since else None,
                cursor=cursor,
                limit=min(query.limit - len(found), AT_ONCE),
            )
            found += reversed(deeds_from_json(page))
            cursor = page["next"]
            if cursor is None:
                break
        return tuple(found)
