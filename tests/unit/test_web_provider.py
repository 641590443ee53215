"""What of a provider's answers is believed: nothing that it did not sign, now, for this site and this sign-in."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from conveyor.config.web import OidcSettings
from conveyor.errors import ConveyorError, NotRecognized, ProviderUnusable
from conveyor.model.access import Permission
from conveyor.web.access.provided import permissions_of
from conveyor.web.access.provider import KEPT_FOR, Person, Provider

NONCE = "the nonce"
ANSWER_TO = "https://conveyor.example.org/sign-in/provider/answer"
Claims = dict[str, Any]


class FakeProvider:
    """Answers as it is told to.

    Attributes:
        key: what it signs with.
        answers: what it answers with, by path.
        asked: the paths that it was asked for.
    """

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
        self.answers: dict[str, object] = {}
        self.asked: list[str] = []
        self.issuer = ""

    def start(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.answers["/.well-known/openid-configuration"] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self.publish(self.key)
        self.vouch()

    def publish(self, key: RSAKey) -> None:
        """Let this be its only key."""
        self.key = key
        self.answers["/keys"] = {"keys": [key.as_dict(private=False)]}

    def vouch(self, change: Callable[[Claims], object] = lambda _claims: None, **header: str) -> None:
        """Answer a code with an ID token, whose claims may be changed."""
        now = int(time.time())
        claims: Claims = {
            "iss": self.issuer,
            "sub": "1",
            "aud": "conveyor",
            "iat": now,
            "exp": now + 300,
            "nonce": NONCE,
            "preferred_username": "ada",
            "groups": ["packagers", 7],
        }
        change(claims)
        self.sign(jwt.encode({"alg": "RS256", "kid": "first", **header}, claims, self.key))

    def sign(self, token: str) -> None:
        """Answer a code with this ID token."""
        self.answers["/token"] = {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": token}

    def claims(self) -> Claims:
        """Those of the ID token."""
        answer: Any = self.answers["/token"]
        return dict(jwt.decode(answer["id_token"], self.key).claims)


@contextmanager
def _served(fake: FakeProvider) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.asked.append(self.path)
            found = fake.answers.get(self.path)
            content = json.dumps(found).encode()
            self.send_response(200 if found is not None else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        fake.start(server.server_port)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    made = FakeProvider()
    with _served(made):
        yield made


def settings(fake: FakeProvider) -> OidcSettings:
    return OidcSettings(
        issuer=fake.issuer,
        client_id="conveyor",
        client_secret_file=None,
        scopes=("openid",),
        name_claim="preferred_username",
        groups_claim="groups",
        groups=MappingProxyType({"packagers": frozenset({Permission.VOTE})}),
        allowed_groups=frozenset(),
        allowed_users=frozenset(),
    )


def person(fake: FakeProvider) -> Person:
    return Provider(settings(fake)).end(ANSWER_TO, "code", NONCE, "v" * 43)


def test_what_it_signed_for_this_sign_in_is_believed(fake: FakeProvider) -> None:
    assert person(fake) == Person(name="ada", groups=frozenset({"packagers"}))


CHANGES: dict[str, Callable[[Claims], object]] = {
    "another issuer": lambda claims: claims.update(iss="https://evil.example.org"),
    "no issuer": lambda claims: claims.pop("iss"),
    "another site": lambda claims: claims.update(aud="other"),
    "other sites, and by another": lambda claims: claims.update(aud=["conveyor", "other"], azp="other"),
    "no site": lambda claims: claims.pop("aud"),
    "another sign-in": lambda claims: claims.update(nonce="x"),
    "no sign-in": lambda claims: claims.pop("nonce"),
    "long ago": lambda claims: claims.update(exp=claims["iat"] - 100),
    "for ever": lambda claims: claims.pop("exp"),
    "in the future": lambda claims: claims.update(iat=claims["iat"] + 1000),
    "nobody": lambda claims: claims.pop("sub"),
    "another access token": lambda claims: claims.update(at_hash="x"),
    "no name": lambda claims: claims.update(preferred_username=7),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_it_signed_for_something_else_is_not(fake: FakeProvider, change: Callable[[Claims], object]) -> None:
    fake.vouch(change)
    with pytest.raises(NotRecognized):
        person(fake)


def test_what_nobody_signed_is_not(fake: FakeProvider) -> None:
    def part(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    fake.sign(f"{part({'alg': 'none', 'kid': 'first'})}.{part(fake.claims())}.")
    with pytest.raises(NotRecognized):
        person(fake)


def test_its_public_key_is_no_shared_secret(fake: FakeProvider) -> None:
    secret = OctKey.import_key(hashlib.sha256(fake.key.as_pem(private=False)).digest())
    fake.sign(jwt.encode({"alg": "HS256", "kid": "first"}, fake.claims(), secret))
    with pytest.raises(NotRecognized):
        person(fake)


def test_what_another_signed_is_not(fake: FakeProvider) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
    fake.sign(jwt.encode({"alg": "RS256", "kid": "first"}, fake.claims(), stranger))
    with pytest.raises(NotRecognized):
        person(fake)


def test_it_may_change_its_key(fake: FakeProvider) -> None:
    provider = Provider(settings(fake))
    assert provider.end(ANSWER_TO, "code", NONCE, "v" * 43).name == "ada"
    fake.publish(RSAKey.generate_key(2048, {"kid": "second"}, private=True))
    fake.vouch(kid="second")
    assert provider.end(ANSWER_TO, "code", NONCE, "v" * 43).name == "ada"
    fake.vouch(kid="third")
    with pytest.raises(NotRecognized):
        provider.end(ANSWER_TO, "code", NONCE, "v" * 43)


def test_what_the_id_token_lacks_is_asked_for(fake: FakeProvider) -> None:
    fake.vouch(lambda claims: claims.pop("groups"))
    fake.answers["/userinfo"] = {"sub": "1", "groups": ["release"], "preferred_username": "other"}
    assert person(fake) == Person(name="ada", groups=frozenset({"release"}))
    fake.answers["/userinfo"] = {"sub": "2", "groups": ["release"]}
    with pytest.raises(NotRecognized, match="somebody else"):
        person(fake)


def test_a_refused_code_lets_nobody_in(fake: FakeProvider) -> None:
    fake.answers["/token"] = {"error": "invalid_grant"}
    with pytest.raises(NotRecognized):
        person(fake)


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"issuer": "https://evil.example.org"}])
def test_one_that_says_nothing_of_use_is_no_provider(fake: FakeProvider, answer: object) -> None:
    fake.answers["/.well-known/openid-configuration"] = answer
    with pytest.raises(ProviderUnusable, match="at the moment"):
        Provider(settings(fake)).begin(ANSWER_TO)


@pytest.mark.parametrize("answer", [None, [], {}, {"access_token": "a"}, {"id_token": 7}, {"id_token": "x.y.z"}])
def test_an_answer_that_makes_no_sense_lets_nobody_in(fake: FakeProvider, answer: object) -> None:
    fake.answers["/token"] = answer
    with pytest.raises(ConveyorError) as caught:
        person(fake)
    assert isinstance(caught.value, NotRecognized | ProviderUnusable)


def test_what_it_says_of_itself_is_kept_for_a_while(fake: FakeProvider) -> None:
    now = 0.0
    provider = Provider(settings(fake), now=lambda: now)
    for _ in range(3):
        provider.begin(ANSWER_TO)
    assert len(fake.asked) == 1
    now = KEPT_FOR
    provider.begin(ANSWER_TO)
    assert len(fake.asked) == 2


def test_who_is_in_no_group_may_look(fake: FakeProvider) -> None:
    given = replace(settings(fake), groups={"a": frozenset({Permission.VOTE}), "b": frozenset({Permission.RETRY})})
    assert permissions_of(Person(name="ada", groups=frozenset()), given) == {Permission.READ}
    assert permissions_of(Person(name="ada", groups=frozenset({"a", "b", "c"})), given) == {
        Permission.READ,
        Permission.VOTE,
        Permission.RETRY,
    }
