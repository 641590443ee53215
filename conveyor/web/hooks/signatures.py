"""Whether a webhook comes from whom it says: each forge signs in its own way."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock

from conveyor.errors import ConveyorError, HookRefused
from conveyor.model.hooks import HookKind
from conveyor.pipeline.access.secrets import same

# How old or new a message may be, in seconds, where its time is signed: as the Standard Webhooks libraries have it.
TOLERANCE = 300
MOST_REMEMBERED = 10_000
MOST_SECRETS = 5
MOST_SIGNATURES = 10
MOST_DIGITS = 11
MOST_SECRET_BYTES = 8192
STANDARD_PREFIX = "whsec_"
_SCHEME = "v1"


class HookSecretsUnusable(ConveyorError):
    """The file with the secrets of webhooks cannot be read, or holds none."""


def read_secrets(path: Path) -> tuple[str, ...]:
    """The secrets in a file, one a line: the new and the old one while they are changed.

    Raises:
        HookSecretsUnusable: there is none.
    """
    try:
        with path.open(encoding="ascii") as file:
            secrets = tuple(file.read(MOST_SECRET_BYTES).split())
    except (OSError, UnicodeError) as error:
        raise HookSecretsUnusable(f"the secret in {path} cannot be read", hint="see to the file's owner") from error
    if not 0 < len(secrets) <= MOST_SECRETS:
        raise HookSecretsUnusable(f"{path} holds no secret", hint=f"write 1 to {MOST_SECRETS} into it, one a line")
    return secrets


class Signatures:
    """Checks signatures, and remembers messages whose name and time are signed, so that each is taken once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def check(
        self, kind: HookKind, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
    ) -> str:
        """See that somebody who knows a secret sent this; gives the message's name, empty where none is signed.

        Raises:
            HookRefused: nothing shows it.
        """
        match kind:
            case HookKind.GITHUB:
                _check_digest(headers, ("x-hub-signature-256",), "sha256=", body, secrets)
            case HookKind.GITEA:
                _check_digest(headers, ("x-forgejo-signature", "x-gitea-signature"), "", body, secrets)
            case HookKind.GITLAB if "webhook-signature" not in headers:
                _check_token(headers.get("x-gitlab-token", ""), secrets)
            case HookKind.GITLAB | HookKind.PLAIN:
                return _check_standard(headers, body, secrets, now)
        return ""

    def is_taken(self, name: str) -> bool:
        """Whether a message was taken before."""
        with self._lock:
            return name in self._seen

    def take(self, name: str, now: datetime) -> None:
        """Remember a message that was taken, as long as its time would let it in again."""
        if not name:
            return
        with self._lock:
            self._seen[name] = now.timestamp()
            while len(self._seen) > MOST_REMEMBERED or self._oldest() < now.timestamp() - 3 * TOLERANCE:
                self._seen.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._seen.values()))


def _check_standard(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> str:
    """As the Standard Webhooks specification 1.0.0 has it; GitLab's signing tokens do the same."""
    name, time, told = (headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not (name and time and told):
        raise HookRefused("it is not signed", hint="it needs webhook-id, webhook-timestamp and webhook-signature")
    content = b".".join((name.encode(), time.encode(), body))
    given = [each.partition(",")[2] for each in told.split()[:MOST_SIGNATURES] if each.startswith(f"{_SCHEME},")]
    made = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in _keys(secrets)]
    if not any(same(one, other) for one in given for other in made):
        raise _wrong()
    at = int(time) if time.isascii() and time.isdigit() and len(time) <= MOST_DIGITS else 0
    if abs(now.timestamp() - at) > TOLERANCE:
        raise HookRefused(
            "the message is too old, or the clocks differ", cause=f"it is of {time[:20]}, now is {now.timestamp():.0f}"
        )
    return name


def _check_digest(
    headers: Mapping[str, str], names: Sequence[str], prefix: str, body: bytes, secrets: Sequence[str]
) -> None:
    told = next((headers[name] for name in names if name in headers), None)
    if told is None:
        raise HookRefused(f"it is not signed: it has no {names[-1]}", hint="give the webhook a secret at the forge")
    made = [f"{prefix}{hmac.digest(secret.encode(), body, 'sha256').hex()}" for secret in secrets]
    if not any(same(told, each) for each in made):
        raise _wrong()


def _check_token(told: str, secrets: Sequence[str]) -> None:
    if not told:
        raise HookRefused("it is not signed: it has no x-gitlab-token", hint="give the webhook a secret at the forge")
    if not any(same(told, each) for each in secrets):
        raise _wrong()


def _keys(secrets: Sequence[str]) -> list[bytes]:
    """What signs: the bytes that a secret stands for, and itself where it does not say that it stands for any."""
    keys = []
    for secret in secrets:
        if not secret.startswith(STANDARD_PREFIX):
            keys.append(secret.encode())
        with suppress(binascii.Error):
            keys.append(base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True))
    return keys


def _wrong() -> HookRefused:
    return HookRefused("the signature is wrong", hint="the forge and the file in [web.hooks] need the same secret")
