"""Package URLs (purl-spec): how lists of software name packages of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

# Beside letters, digits and ".-_~", which quote() leaves alone.
_PLAIN = ":"


def purl(kind: str, namespace: str, name: str, version: str, qualifiers: Mapping[str, str]) -> str:
    """`pkg:kind/namespace/name@version?qualifiers`, in the one spelling that the specification knows."""
    given = "&".join(f"{key}={quote(value, safe=_PLAIN)}" for key, value in sorted(qualifiers.items()) if value)
    plain = f"pkg:{kind}/{quote(namespace, safe=_PLAIN)}/{quote(name, safe=_PLAIN)}@{quote(version, safe=_PLAIN)}"
    return f"{plain}?{given}" if given else plain
