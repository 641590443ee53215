"""Package URLs (purl-spec): how lists of software name packages of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

# Beside letters, digits and ".-_~", which quote() leaves alone.
_PLAIN = ":"


def purl(kind: str, namespace: str, name: str, version: str, qualifiers: Mapping[str, str]) -> str:
    """`pkg:kind/namespace/name@version?qualifiers`, in the one spelling that the specification knows."""
    given = "&".join(f"{key}={_quoted(value)}" for key, value in sorted(qualifiers.items()) if value)
    plain = f"pkg:{kind}/{_quoted(namespace)}/{_quoted(name)}@{_quoted(version)}"
    return f"{plain}?{given}" if given else plain


def _quoted(text: str) -> str:
    return quote(text, safe=_PLAIN, errors="replace")
