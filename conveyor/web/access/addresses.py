"""Where a request comes from."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.requests import HTTPConnection

Network = IPv4Network | IPv6Network


def address_of(request: HTTPConnection, proxies: Sequence[Network]) -> str:
    """The IP address that a request comes from; empty where there is none, as on a socket in the file system.

    What X-Forwarded-For says is taken from trusted proxies only, and of its addresses the last one that is none of
    them: whoever stands before may have written anything.

    Args:
        request: the request.
        proxies: the networks of trusted proxies.
    """
    peer = _parsed(request.client.host if request.client else "")
    said = [_parsed(part.strip()) for line in request.headers.getlist("x-forwarded-for") for part in line.split(",")]
    nearest = peer
    for hop in reversed(said):
        if nearest is None or not _within(nearest, proxies) or hop is None:
            break
        nearest = hop
    return str(nearest) if nearest else ""


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # An IPv4 client of a socket that takes both.
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _within(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
