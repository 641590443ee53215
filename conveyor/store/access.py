"""The ports `Tokens`, `Users` and `Sessions` on an SQL database. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Delete, RowMapping, Table, Update, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from conveyor.errors import NotPossible, UnknownName
from conveyor.model.access import Permission, Permissions, Session, Token, User
from conveyor.store.database import Database
from conveyor.store.tables import access_token, access_user, web_session


class SqlTokens:
    """See `conveyor.ports.Tokens`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, token: Token) -> None:
        """See the port."""
        _add(
            self._database,
            access_token,
            _values(token),
            NotPossible(
                f"there is a token called {token.name!r} already",
                hint=f"revoke it first: conveyor token revoke {token.name}",
            ),
        )

    def of_digest(self, digest: str) -> Token | None:
        """See the port."""
        return next(map(_to_token, _found(self._database, access_token, digest)), None)

    def all(self) -> tuple[Token, ...]:
        """See the port."""
        order = (access_token.c.name, access_token.c.created_at.desc(), access_token.c.digest)
        with self._database.reading() as connection:
            rows = connection.execute(select(access_token).order_by(*order)).mappings()
            return tuple(_to_token(row) for row in rows)

    def used(self, digest: str, at: datetime) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(update(access_token).where(access_token.c.digest == digest).values(used_at=at))

    def revoke(self, name: str, at: datetime) -> Token:
        """See the port."""
        mine = update(access_token).where(access_token.c.name == name, access_token.c.revoked_at.is_(None))
        with self._database.writing() as connection:
            row = connection.execute(mine.values(revoked_at=at).returning(access_token)).mappings().one_or_none()
        if row is None:
            raise UnknownName(f"there is no token called {name!r}", hint="'conveyor token list' shows them")
        return _to_token(row)


class SqlUsers:
    """See `conveyor.ports.Users`, and for the rest `SqlTokens`.

    Args:
        database: at the schema's newest version.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, user: User) -> None:
        """See the port."""
        _add(
            self._database,
            access_user,
            _values(user),
            NotPossible(f"there is a user called {user.name!r} already", hint="'conveyor user list' shows them"),
        )

    def find(self, name: str) -> User | None:
        """See the port."""
        with self._database.reading() as connection:
            row = connection.execute(select(access_user).where(access_user.c.name == name)).mappings().one_or_none()
        return None if row is None else _to_user(row)

    def all(self) -> tuple[User, ...]:
        """See the port."""
        with self._database.reading() as connection:
            rows = connection.execute(select(access_user).order_by(access_user.c.name)).mappings()
            return tuple(_to_user(row) for row in rows)

    def set_password(self, name: str, password: str, at: datetime) -> None:
        """See the port."""
        self._change(name, password=password, changed_at=at)

    def set_disabled(self, name: str, at: datetime, *, disabled: bool) -> None:
        """See the port."""
        self._change(name, disabled=disabled, changed_at=at)

    def set_permissions(self, name: str, permissions: Permissions) -> None:
        """See the port."""
        self._change(name, permissions=sorted(permissions))

    def delete(self, name: str) -> None:
        """See the port."""
        self._apply(name, delete(access_user).where(access_user.c.name == name))

    def _change(self, name: str, **values: object) -> None:
        self._apply(name, update(access_user).where(access_user.c.name == name).values(values))

    def _apply(self, name: str, statement: Update | Delete) -> None:
        with self._database.writing() as connection:
            touched = connection.execute(statement).rowcount
        if not touched:
            raise UnknownName(f"there is no user called {name!r}", hint="'conveyor user list' shows them")


class SqlSessions:
    """See `conveyor.ports.Sessions`, and for the rest `SqlTokens`.

    Args:
        database: at the schema's newest version.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, session: Session) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(delete(web_session).where(web_session.c.expires_at <= session.created_at))
            connection.execute(insert(web_session).values(_values(session)))

    def of_digest(self, digest: str) -> Session | None:
        """See the port."""
        return next(map(_to_session, _found(self._database, web_session, digest)), None)

    def of_user(self, user: str) -> tuple[Session, ...]:
        """See the port."""
        order = (web_session.c.created_at.desc(), web_session.c.digest)
        with self._database.reading() as connection:
            rows = connection.execute(select(web_session).where(web_session.c.user == user).order_by(*order)).mappings()
            return tuple(_to_session(row) for row in rows)

    def seen(self, digest: str, at: datetime) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(update(web_session).where(web_session.c.digest == digest).values(seen_at=at))

    def end(self, digest: str) -> None:
        """See the port."""
        with self._database.writing() as connection:
            connection.execute(delete(web_session).where(web_session.c.digest == digest))

    def end_all(self, user: str) -> int:
        """See the port."""
        with self._database.writing() as connection:
            return connection.execute(delete(web_session).where(web_session.c.user == user)).rowcount


def _add(database: Database, table: Table, row: dict[str, Any], taken: NotPossible) -> None:
    try:
        with database.writing() as connection:
            connection.execute(insert(table).values(row))
    except IntegrityError as error:
        raise taken from error


def _found(database: Database, table: Table, digest: str) -> Iterable[RowMapping]:
    with database.reading() as connection:
        return connection.execute(select(table).where(table.c.digest == digest)).mappings().all()


def _values(value: Token | User | Session) -> dict[str, Any]:
    return {**asdict(value), "permissions": sorted(value.permissions)}


def _permissions(words: Iterable[str]) -> Permissions:
    return frozenset(map(Permission, words))


def _to_token(row: RowMapping) -> Token:
    return Token(**{**row, "permissions": _permissions(row["permissions"])})


def _to_user(row: RowMapping) -> User:
    return User(**{**row, "permissions": _permissions(row["permissions"])})


def _to_session(row: RowMapping) -> Session:
    return Session(**{**row, "permissions": _permissions(row["permissions"])})
