"""What the webhooks of each forge say, as their public documentation has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from conveyor.errors import UserError
from conveyor.model.hooks import HookKind, Push

LONGEST = 1000
# Where each has the repository, and its URLs there.
_REPOSITORY = {HookKind.GITHUB: "repository", HookKind.GITEA: "repository", HookKind.GITLAB: "project"}
_URLS = {
    HookKind.GITHUB: ("clone_url", "ssh_url", "git_url", "html_url", "url"),
    HookKind.GITEA: ("clone_url", "ssh_url", "html_url"),
    HookKind.GITLAB: ("git_http_url", "git_ssh_url", "http_url", "ssh_url", "web_url"),
}
_EVENT_HEADERS = {
    HookKind.GITHUB: ("x-github-event",),
    HookKind.GITEA: ("x-forgejo-event", "x-gitea-event"),
    HookKind.GITLAB: (),
}
_PUSHES = {"push", "tag_push", "create", "delete"}


def read_push(kind: HookKind, headers: Mapping[str, str], body: bytes) -> Push:
    """What a webhook says.

    Raises:
        UserError: it is no such webhook.
    """
    document = _document(headers, body)
    if kind is HookKind.PLAIN:
        return Push(urls=_texts(document, ("repository",)), ref=_text(document, "ref"))
    told = next((headers[name] for name in _EVENT_HEADERS[kind] if name in headers), _text(document, "object_kind"))
    repository = document.get(_REPOSITORY[kind])
    urls = _texts(repository, _URLS[kind]) if isinstance(repository, dict) else ()
    ref = _text(document, "ref")
    if told == "create" or told == "delete":  # noqa: PLR1714 - the ref is told without its beginning
        ref = f"refs/{'tags' if document.get('ref_type') == 'tag' else 'heads'}/{ref}"
    return Push(urls=urls, ref=ref, event="" if told in _PUSHES else told[:LONGEST] or "unknown")


def _document(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    try:
        # GitHub and Gitea can be told to send a form.
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            found = json.loads(parse_qs(body.decode(), strict_parsing=True, max_num_fields=2)["payload"][0])
        else:
            found = json.loads(body)
    except (ValueError, KeyError, RecursionError) as error:
        raise UserError("the webhook is no JSON", hint="choose application/json as its content type") from error
    if not isinstance(found, dict):
        raise UserError("the webhook is no JSON object")
    return found


def _texts(values: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text for name in names if (text := _text(values, name)))


def _text(values: Mapping[str, Any], name: str) -> str:
    found = values.get(name)
    return found if isinstance(found, str) and len(found) <= LONGEST else ""
