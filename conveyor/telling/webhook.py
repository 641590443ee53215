"""Notices as webhooks, signed as the Standard Webhooks specification 1.0.0 has it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from conveyor import __version__
from conveyor.errors import ChannelDown, NoticeFailed, NoticeRefused
from conveyor.model.channels import Webhook
from conveyor.model.notice import Notice
from conveyor.model.text import plain, shortened

# The specification recommends 15 to 30 seconds.
WHOLE_SECONDS = 20.0
READ_BYTES = 2048
SAID_CHARACTERS = 200
SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of one, not one
# What the specification has for a secret.
SECRET_BYTES = range(24, 65)
MAX_SECRETS = 5
GONE = 410
# Codes that say that what is wrong is this request, rather than the server.
_REQUEST_ERRORS = frozenset(range(400, 500)) - {401, 403, 404, 405, 407, 408, 425, 429}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a server answered.

    Attributes:
        code: the status code.
        wait: seconds that it asks to be left alone; 0 where it does not.
        said: the beginning of what it says. Hostile text.
    """

    code: int
    wait: float
    said: str


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WebhookNotifier:
    """The port Notifier, by HTTP: the body is what the notice holds, byte by byte, each time that it is sent.

    Args:
        webhooks: the site's webhooks.
        now: the time.
        whole: seconds that a request may take, from the name service's answer to the last byte that is read.
    """

    def __init__(
        self, webhooks: Iterable[Webhook], *, now: Callable[[], datetime] = _utc_now, whole: float = WHOLE_SECONDS
    ) -> None:
        self._webhooks = {webhook.name: webhook for webhook in webhooks}
        self._now = now
        self._whole = whole

    def send(self, notice: Notice) -> None:
        """Send one.

        Raises:
            NoticeRefused: the settings have no such webhook, or its server wants no more.
            NoticeFailed: the server does not take this one.
            ChannelDown: the server cannot be reached, takes nothing now, or sends elsewhere; or the secret is unusable.
        """
        webhook = self._webhooks.get(notice.recipient)
        if webhook is None:
            raise NoticeRefused(f"the settings have no webhook {notice.recipient!r} any more")
        body = notice.body.encode()
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": f"conveyor/{__version__}",
            **signed(read_secrets(webhook), f"msg_{notice.key}", self._now(), body),
        }
        try:
            answer = asyncio.run(self._post(webhook.url, headers, body))
        except TimeoutError as error:
            raise _down(webhook, f"no answer within {self._whole:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _down(webhook, _said(str(error)) or type(error).__name__) from error
        _judge(webhook, answer)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        """Post, and read a little of the answer. Asynchronous, since nothing else limits the whole time."""
        async with (
            asyncio.timeout(self._whole),
            httpx.AsyncClient(
                verify=ssl.create_default_context(), timeout=self._whole, follow_redirects=False
            ) as client,
            client.stream("POST", url, headers=headers, content=body) as response,
        ):
            said = b""
            async for chunk in response.aiter_raw(READ_BYTES):
                said = chunk
                break
        return _Answer(
            code=response.status_code,
            wait=_wait(response.headers.get("retry-after", ""), self._now()),
            said=_said(said.decode("utf-8", "replace")),
        )


def signed(secrets: Iterable[bytes], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that name and sign a message; with several secrets, which a change of them needs, each signs."""
    timestamp = str(int(at.timestamp()))
    content = b".".join([message_id.encode(), timestamp.encode(), body])
    signatures = (base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def read_secrets(webhook: Webhook) -> tuple[bytes, ...]:
    """The secrets in a webhook's file, a line for each.

    Raises:
        ChannelDown: the file cannot be read, or holds something else.
    """
    try:
        lines = webhook.secret_file.read_text(encoding="ascii").split()
    except (OSError, UnicodeError) as error:
        raise _unusable(webhook.secret_file, getattr(error, "strerror", None) or "it is no text") from error
    secrets = tuple(_secret(line) for line in lines)
    if not 0 < len(secrets) <= MAX_SECRETS or not all(len(secret) in SECRET_BYTES for secret in secrets):
        raise _unusable(webhook.secret_file, "it holds something else")
    return secrets


def _secret(line: str) -> bytes:
    """The bytes of a secret; none where it is no such text."""
    try:
        return base64.b64decode(line.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return b""


def _unusable(path: Path, cause: str) -> ChannelDown:
    example = f"echo {SECRET_PREFIX}$(head -c 32 /dev/urandom | base64 -w 0)"
    return ChannelDown(
        f"{path} holds no secret of a webhook", cause=cause, hint=f"one a line, as this makes it: {example}"
    )


def _judge(webhook: Webhook, answer: _Answer) -> None:
    if 200 <= answer.code < 300:  # noqa: PLR2004 - RFC 9110, 15.3
        return
    cause = f"{answer.code} {answer.said}".strip()
    if answer.code == GONE:
        hint = "take the webhook out of conveyor.toml, or see to its server"
        raise NoticeRefused(f"webhook {webhook.name} wants no more", cause=cause, hint=hint)
    if answer.code in _REQUEST_ERRORS:
        raise NoticeFailed(f"webhook {webhook.name} does not take it", cause=cause)
    raise _down(webhook, cause, answer.wait)


def _down(webhook: Webhook, cause: str, wait: float = 0) -> ChannelDown:
    """The error for a server that takes nothing. The URL is left out: it may hold a secret."""
    hint = "see to its server, or correct [[webhooks]] in conveyor.toml"
    return ChannelDown(f"webhook {webhook.name} takes nothing", cause=cause, hint=hint, wait=wait)


def _wait(text: str, now: datetime) -> float:
    """The seconds that a Retry-After asks for (RFC 9110, 10.2.3); 0 where it makes no sense."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0
    return max(0.0, (at - now).total_seconds()) if at.tzinfo else 0


def _said(text: str) -> str:
    return shortened(plain(" ".join(text.split())), SAID_CHARACTERS)
