"""Where a host name may lead: looked up once a run, and never into a private network by surprise."""

from __future__ import annotations

import ipaddress
import socket
import threading

from connector_core.errors import SourceError
from connector_core.rest.addresses import is_loopback

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Resolver:
    """The addresses of host names, as they were at the first look-up. Safe for several threads.

    A name that leads to this machine, a private network or a cloud's link-local services when it is looked up, or
    looked up again, would have the engine carry its credentials and requests there (DNS rebinding,
    facts/fault_catalogue.md H3). So a name is looked up once for the life of this object, which is that of a run,
    and all of its addresses have to be public. `private` allows those of private networks and of this machine;
    link-local, multicast and unspecified ones are never allowed. A host that is written as an address is what the
    user asked for, and `localhost` is this machine and nothing else.
    """

    def __init__(self, *, private: bool = False) -> None:
        self._private = private
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], tuple[str, ...]] = {}

    def __call__(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses to try in turn. Raises `SourceError` (private_address), OSError where the look-up fails."""
        host = host.strip("[]")
        try:
            return (str(ipaddress.ip_address(host)),)
        except ValueError:
            pass
        with self._lock:
            if (host, port) not in self._known:
                found = dict.fromkeys(
                    str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                )
                for text in found:
                    self._check(host, text)
                self._known[host, port] = tuple(found)
            return self._known[host, port]

    def _check(self, host: str, text: str) -> None:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        never = address.is_link_local or address.is_multicast or address.is_unspecified
        if is_loopback(host):
            never = not address.is_loopback
        if never or not (self._private or address.is_global or is_loopback(host)):
            hint = "is the name right, and its name server to be trusted?"
            if not never:
                hint += " if the site really is in your own network, allow it: private_network = true"
            raise SourceError(
                f"{host} leads to {address}, which is not on the public internet; nothing was sent there",
                hint=hint,
                code="private_address",
            )
