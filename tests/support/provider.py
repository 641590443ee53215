"""A real OpenID Connect provider, Canaille, in a process of its own.

`.cache/provider/bin/python -P tests/support/provider.py PORT ANSWER_TO`; it knows a client and the people below.
Canaille has an environment of its own: it brings a package `tests` that would hide ours.
"""

from __future__ import annotations

import sys
from typing import Any

SECRET = "the client's secret"
PASSWORD = "correct horse battery"
# Their groups by name.
PEOPLE = {"ada": ["packagers", "release"], "grace": ["packagers"], "mallory": [], "local": ["packagers"]}


def main(port: int, answer_to: str) -> None:
    """Serve until the process is ended."""
    from canaille import create_app  # noqa: PLC0415
    from joserfc.jwk import RSAKey  # noqa: PLC0415
    from werkzeug.serving import run_simple  # noqa: PLC0415

    key = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
    app = create_app(
        {
            "SECRET_KEY": 32 * "x",
            "SERVER_NAME": f"localhost:{port}",
            "PREFERRED_URL_SCHEME": "http",
            "SESSION_COOKIE_SECURE": False,
            "CANAILLE": {"DATABASE": "memory", "SMTP": None, "ENABLE_PASSWORD_RECOVERY": False},
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
        }
    )
    with app.app_context():
        _fill(answer_to)
    run_simple("127.0.0.1", port, app)


def _fill(answer_to: str) -> None:
    from canaille.app import models  # noqa: PLC0415
    from canaille.backends import Backend  # noqa: PLC0415

    def saved(thing: Any) -> Any:  # noqa: ANN401 - Canaille's models have no types
        Backend.instance.save(thing)
        return thing

    people = {
        name: saved(
            models.User(
                user_name=name,
                display_name=name,
                formatted_name=name,
                family_name=name,
                emails=[f"{name}@example.org"],
                password=PASSWORD,
            )
        )
        for name in PEOPLE
    }
    for group in {group for groups in PEOPLE.values() for group in groups}:
        members = [people[name] for name, groups in PEOPLE.items() if group in groups]
        saved(models.Group(display_name=group, members=members))
    client = saved(
        models.Client(
            client_id="conveyor",
            client_secret=SECRET,
            client_name="Conveyor",
            client_uri="http://127.0.0.1/",  # it asks nobody for consent then
            contacts=["ada@example.org"],
            redirect_uris=[answer_to],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
        )
    )
    client.audience = [client]
    saved(client)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
