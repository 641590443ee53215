"""An OpenID Connect provider: what is asked of it, and what of its answers is believed.

Authorization code flow with PKCE: https://openid.net/specs/openid-connect-core-1_0.html and RFC 7636.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from conveyor.config.web import OidcSettings
from conveyor.errors import NotRecognized, ProviderUnusable
from conveyor.pipeline.access.secrets import new_secret

WELL_KNOWN = "/.well-known/openid-configuration"
# What it says of itself is asked for anew after so many seconds.
KEPT_FOR = 3600.0
TIMEOUT = 10.0
# By how many seconds its clock may be wrong.
LEEWAY = 60
# Signatures that nobody can make who knows no private key; "none" and HMAC are not among them.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that was begun.

    Attributes:
        url: where the provider asks who it is.
        state: what the provider's answer has to bring back.
        nonce: what its ID token has to hold.
        verifier: what shows it that whoever began ends it.
    """

    url: str
    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who somebody is, as a provider says.

    Attributes:
        name: its name.
        groups: the groups that it is in.
    """

    name: str
    groups: frozenset[str]


class Provider:
    """Asks one provider.

    Args:
        settings: which.
        now: seconds that only rise.
    """

    def __init__(self, settings: OidcSettings, now: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._now = now
        self._lock = Lock()
        self._kept: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def begin(self, answer_to: str) -> Begun:
        """Begin to sign somebody in.

        Args:
            answer_to: the URL that the provider answers to.

        Raises:
            ProviderUnusable: it does not answer, or not as it should.
        """
        nonce, verifier = new_secret(), new_secret()
        with self._client(answer_to) as client:
            endpoint = self._said("authorization_endpoint")
            url, state = client.create_authorization_url(
                endpoint, state=new_secret(), nonce=nonce, code_verifier=verifier
            )
        return Begun(url=url, state=state, nonce=nonce, verifier=verifier)

    def end(self, answer_to: str, code: str, nonce: str, verifier: str) -> Person:
        """Who it is, by what the provider answered with.

        Raises:
            ProviderUnusable: it does not answer, or not as it should.
            NotRecognized: it does not know the code, or its answer is not to be believed.
        """
        try:
            with self._client(answer_to) as client:
                token = client.fetch_token(
                    self._said("token_endpoint"),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                )
                claims = self._believed(token, nonce)
                wanted = {self.settings.name_claim, self.settings.groups_claim}
                if not wanted <= set(claims) and "userinfo_endpoint" in self._metadata():
                    claims = {**self._of_person(client, str(claims["sub"])), **claims}
        except (AuthlibBaseError, JoseError) as error:
            raise NotRecognized("the provider does not vouch for whoever signs in", cause=str(error)) from error
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._unusable(error) from error
        return self._person(claims)

    def _client(self, answer_to: str) -> OAuth2Client:
        secret = self._secret()
        methods = self._metadata().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        by_header = "client_secret_basic" in methods
        method = ("client_secret_basic" if by_header else "client_secret_post") if secret else "none"
        return OAuth2Client(
            client_id=self.settings.client_id,
            client_secret=secret,
            token_endpoint_auth_method=method,
            scope=" ".join(self.settings.scopes),
            redirect_uri=answer_to,
            code_challenge_method="S256",
            leeway=0,  # it is used at once
            timeout=TIMEOUT,
        )

    def _secret(self) -> str | None:
        """Read anew each time, so that it can be changed."""
        file = self.settings.client_secret_file
        try:
            return file.read_text(encoding="utf-8").strip() if file else None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(error) from error

    def _believed(self, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """What its ID token says, once that was found to be made by it, for us, now, and for this sign-in."""
        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        try:
            decoded = jwt.decode(token["id_token"], key=self._keys(), registry=registry)
        except InvalidKeyIdError:  # it has changed its keys
            self._forget("jwks_uri")
            decoded = jwt.decode(token["id_token"], key=self._keys(), registry=registry)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
            },
            {"nonce": nonce, "client_id": self.settings.client_id, "access_token": token.get("access_token")},
        )
        claims.validate(leeway=LEEWAY)
        return dict(decoded.claims)

    def _of_person(self, client: OAuth2Client, subject: str) -> dict[str, Any]:
        """What it says of a person beside the ID token."""
        answer = client.get(self._said("userinfo_endpoint"))
        answer.raise_for_status()
        said = answer.json()
        if said.get("sub") != subject:
            raise NotRecognized("the provider speaks of somebody else")
        return dict(said)

    def _person(self, claims: Mapping[str, Any]) -> Person:
        name, groups = claims.get(self.settings.name_claim), claims.get(self.settings.groups_claim, ())
        if not isinstance(name, str):
            raise NotRecognized(f"the provider does not say {self.settings.name_claim!r} of whoever signs in")
        listed = groups if isinstance(groups, list) else []
        return Person(name=name, groups=frozenset(each for each in listed if isinstance(each, str)))

    def _keys(self) -> KeySet:
        return KeySet.import_key_set(self._fetched("jwks_uri", self._said("jwks_uri")))  # type: ignore[arg-type]

    def _said(self, name: str) -> str:
        """A URL that it says of itself; over https wherever its own is."""
        url = self._metadata().get(name)
        if not isinstance(url, str) or (self.settings.issuer.startswith("https:") and not url.startswith("https:")):
            raise self._unusable(ValueError(f"it does not say where its {name} is"))
        return url

    def _metadata(self) -> Mapping[str, Any]:
        found = self._fetched("metadata", self.settings.issuer.rstrip("/") + WELL_KNOWN)
        if found.get("issuer") != self.settings.issuer:
            self._forget("metadata")
            raise self._unusable(ValueError(f"it calls itself {found.get('issuer')!r}"))
        return found

    def _fetched(self, name: str, url: str) -> Mapping[str, Any]:
        with self._lock:
            until, kept = self._kept.get(name, (0.0, {}))
        if self._now() < until:
            return kept
        try:
            answer = httpx2.get(url, timeout=TIMEOUT)
            answer.raise_for_status()
            found = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unusable(error) from error
        if not isinstance(found, dict):
            raise self._unusable(ValueError(f"{url} has no object"))
        with self._lock:
            self._kept[name] = (self._now() + KEPT_FOR, found)
        return found

    def _forget(self, name: str) -> None:
        with self._lock:
            self._kept.pop(name, None)

    def _unusable(self, error: Exception) -> ProviderUnusable:
        return ProviderUnusable(
            f"nobody can sign in with {self.settings.issuer} at the moment",
            cause=str(error),
            hint="check the settings below [web.oidc], and whether it answers",
        )
