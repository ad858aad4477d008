"""Rules of the LAN, of the ranges of pods and Services, and of the way out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from groundplane.errors import SpecError
from groundplane.spec.addressing import gateway_address, lay_out_addresses, pool_of, roster
from groundplane.spec.draft import ALL_MACHINES, Draft
from groundplane.spec.model import ClusterSpec, Network, Uplink
from groundplane.spec.names import why_fixed
from groundplane.spec.problem import Path
from groundplane.spec.remedy import Remedy, write
from groundplane.spec.roles import ROLES, Role
from groundplane.spec.rules.violation import Violation

LAN: Path = ("network", "lan")
POOL: Path = ("network", "dhcp-pool")
FLOATING: Path = ("network", "floating-address")
UPLINK: Path = ("network", "uplink")
PODS: Path = ("kubernetes", "pods")
SERVICES: Path = ("kubernetes", "services")

# RFC 6890: addresses no host can have. Documentation ranges are left: examples and tests live there.
_SPECIAL = (
    (IPv4Network("0.0.0.0/8"), "no host's"),
    (IPv4Network("127.0.0.0/8"), "every host's own (loopback)"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("224.0.0.0/3"), "multicast or reserved"),
)
# What hosts may have: unique local addresses (RFC 4193) and global unicast (RFC 4291, the only part ever assigned).
_FOR_HOSTS = (IPv6Network("fc00::/7"), IPv6Network("2000::/3"))
WIDEST = 16  # the LAN's prefix
# kube-controller-manager gives each node a /24 and takes at most 2^16 of them; the API server refuses a Service range
# of more than 20 bits, and kubeadm one with fewer than 10 addresses (MinimumAddressesInServiceSubnet).
_PREFIXES = ((LAN, WIDEST, 29, "10.80.0.0/24"), (PODS, 8, 24, "10.244.0.0/16"), (SERVICES, 12, 28, "10.96.0.0/16"))


def _range(draft: Draft, path: Path) -> IPv4Network:
    spec = draft.spec
    return {LAN: spec.network.lan, PODS: spec.kubernetes.pods, SERVICES: spec.kubernetes.services}[path]


def with_usable_lan(draft: Draft) -> Draft:
    """The draft for the rules that count in the LAN: one of an unfit size is left out like any unfit value."""
    if WIDEST <= draft.spec.network.lan.prefixlen <= 29:
        return draft
    network = draft.spec.network.model_copy(update={"lan": Network().lan})
    spec = draft.spec.model_copy(update={"network": network})
    return replace(draft, spec=spec, left_out=draft.left_out | {LAN})


def special(network: IPv4Network) -> str | None:
    """Why no host can have addresses of ``network``, or None."""
    return next((reason for reserved, reason in _SPECIAL if network.overlaps(reserved)), None)


def ranges_are_usable(draft: Draft) -> Iterator[Violation]:
    for path, _, _, example in _PREFIXES:
        if draft.knows(path) and (reason := special(_range(draft, path))) is not None:
            yield Violation(
                path,
                f"{_range(draft, path)} holds addresses that are {reason}",
                "write another range",
                remedies=(_such(path, example, "write"),),
            )


def ranges_have_sensible_sizes(draft: Draft) -> Iterator[Violation]:
    for path, widest, narrowest, example in _PREFIXES:
        prefix = _range(draft, path).prefixlen
        if draft.knows(path) and not widest <= prefix <= narrowest:
            what = "wide" if prefix < widest else "narrow"
            instead = f"take a prefix from /{widest} to /{narrowest}"
            remedies = (_such(path, example, f"{instead}, such as"),)
            yield Violation(path, f"{_range(draft, path)} is too {what}", instead, remedies=remedies)
    nodes = sum(any(ROLES[role].node for role in entry.all_roles) for entry in roster(draft.spec))
    pods = draft.spec.kubernetes.pods
    counted = draft.knows(ALL_MACHINES, ("machines", "worker"), ("machines", "control-plane"))
    if draft.knows(PODS) and counted and pods.prefixlen <= 24 and nodes > 2 ** (24 - pods.prefixlen):
        prefix = 24 - (nodes - 1).bit_length()
        wider = str(pods.supernet(new_prefix=prefix))
        message = f"{pods} has fewer than {nodes} ranges of /24, one per node"
        remedies = (_such(PODS, wider, f"widen it to a /{prefix}:"),)
        yield Violation(PODS, message, f"take a /{prefix}", remedies=remedies)


def ranges_stay_apart(draft: Draft) -> Iterator[Violation]:
    ranges = [(path, _range(draft, path)) for path in (LAN, PODS, SERVICES) if draft.knows(path)]
    uplink = draft.spec.network.uplink
    if uplink is not None and draft.knows(UPLINK):
        ranges.append(((*UPLINK, "address"), uplink.address.network))
    for number, (first, one) in enumerate(ranges):
        for second, other in ranges[number + 1 :]:
            if one.overlaps(other):
                yield _overlap(draft, (first, one), (second, other))


def _overlap(draft: Draft, one: tuple[Path, IPv4Network], other: tuple[Path, IPv4Network]) -> Violation:
    """Told at the one of the two that comes later in the file, or that is in the file at all."""
    last, earlier = sorted(
        (one, other), key=lambda side: (draft.states(side[0]), draft.document.place(side[0])), reverse=True
    )
    remark = "" if draft.states(earlier[0]) else ", the default"
    name = ".".join(str(part) for part in earlier[0])
    return Violation(
        last[0], f"{last[1]} overlaps {name} ({earlier[1]}{remark})", "choose ranges without common addresses"
    )


def pool_is_inside(draft: Draft) -> Iterator[Violation]:
    pool = draft.spec.network.dhcp_pool
    if pool is None or not draft.knows(POOL, LAN):
        return
    lan = draft.spec.network.lan
    for name, address in (("first", pool.first), ("last", pool.last)):
        if (reason := not_a_host_of(lan, address)) is not None:
            yield Violation((*POOL, name), f"{address} {reason}", f"take addresses from {lan[1]} to {lan[-2]}")
    if pool.first > pool.last:
        message = f"the pool ends ({pool.last}) before it begins ({pool.first})"
        swapped = (((*POOL, "first"), str(pool.last)), ((*POOL, "last"), str(pool.first)))
        instead = "write its lowest address first, and its highest last"
        yield Violation((*POOL, "last"), message, instead, remedies=(Remedy("swap the two", (swapped,)),))
    gateway = gateway_address(draft.spec)
    if draft.knows(ALL_MACHINES) and pool.first <= gateway <= pool.last:
        yield Violation(POOL, f"the gateway's address {gateway} is in the pool", "leave it out", at_key=True)


def floating_address_is_free(draft: Draft) -> Iterator[Violation]:
    address = draft.spec.network.floating_address
    if address is None or not draft.knows(FLOATING, LAN):
        return
    lan, (first, last) = draft.spec.network.lan, pool_of(draft.spec.network)
    if (reason := not_a_host_of(lan, address)) is not None:
        yield Violation(FLOATING, f"{address} {reason}", f"take a free address from {lan[1]} to {lan[-2]}")
    elif draft.knows(POOL) and first <= address <= last:
        yield Violation(FLOATING, *in_pool(draft, address, first, last))
    elif draft.knows(ALL_MACHINES) and address == gateway_address(draft.spec):
        free = free_address(draft)
        remedies = (_such(FLOATING, str(free), "take another, such as"),) if free else ()
        yield Violation(FLOATING, f"{address} is the gateway's own address", "take another", remedies=remedies)
    else:
        for path, entry in draft.machines:
            if entry.address == address:
                message = f"{address} is the address of {entry.name} (line {draft.document.place(path)[0]})"
                yield Violation(FLOATING, message, "take an address no machine has, or leave it to the default")


def not_a_host_of(lan: IPv4Network, address: IPv4Address) -> str | None:
    """Why a host of ``lan`` can't have ``address``, or None."""
    if address not in lan:
        return f"is outside the LAN ({lan})"
    if address == lan.network_address:
        return f"is the address of the range {lan} itself"
    return f"is the broadcast address of {lan}" if address == lan.broadcast_address else None


def in_pool(draft: Draft, address: IPv4Address, first: IPv4Address, last: IPv4Address) -> tuple[str, str]:
    """What to say of an address that strangers may get."""
    remark = "" if draft.states(POOL) else ", by default the LAN's last quarter"
    message = f"{address} is in the DHCP pool ({first} to {last}{remark})"
    return message, "take one outside, or state network.dhcp-pool with other bounds"


def ipv6_is_a_64(draft: Draft) -> Iterator[Violation]:
    ipv6 = draft.spec.network.ipv6
    path: Path = ("network", "ipv6")
    if ipv6 is None or not draft.knows(path):
        return
    if not any(ipv6.subnet_of(fit) for fit in _FOR_HOSTS):
        message = f"{ipv6} can't be given to hosts: only addresses in fc00::/7 and 2000::/3 can"
        instead = "write a /64 of your own"
        yield Violation(path, message, instead, remedies=(_such(path, "fd00:80::/64", f"{instead}, such as"),))
    elif ipv6.prefixlen != 64:
        # RFC 4862: hosts form their addresses from a prefix of 64 bits.
        remedy = (
            _such(path, f"{ipv6.network_address}/64", "write")
            if ipv6.prefixlen < 64
            else _such(path, "fd00:80::/64", "write a /64, such as")
        )
        message = f"{ipv6} is not a /64, which addresses without DHCP need"
        yield Violation(path, message, "write a /64", remedies=(remedy,))


def uplink_leads_outside(draft: Draft) -> Iterator[Violation]:
    uplink = draft.spec.network.uplink
    if uplink is None or not draft.knows(UPLINK):
        return
    outer, own, router = uplink.address.network, uplink.address.ip, uplink.router
    path = (*UPLINK, "address")
    if (reason := special(outer)) is not None:
        yield Violation(path, f"{uplink.address} is of a range that is {reason}", "write the outer network's address")
    elif outer.prefixlen > 30:
        remedies = (_such(path, f"{own}/24", "state its prefix, such as"),)
        yield Violation(path, f"{uplink.address} leaves no room for a router", "state its prefix", remedies=remedies)
    elif (reason := not_a_host_of(outer, own)) is not None:
        remedies = (_such(path, f"{outer[2]}/{outer.prefixlen}", "write a host's address, such as"),)
        yield Violation(path, f"{own} {reason}", "write a host's address", remedies=remedies)
    elif router == own:
        yield Violation((*UPLINK, "router"), f"{router} is the gateway's own outer address", "write the next hop's")
    elif (reason := not_a_host_of(outer, router)) is not None:
        reason = reason.replace("the LAN", "the uplink's range")
        yield Violation((*UPLINK, "router"), f"{router} {reason}", f"write an address of {outer}")


def name_servers_are_others(draft: Draft) -> Iterator[Violation]:
    """The gateway asks them on behalf of all: none may be a part of the platform, or no host at all."""
    uplink = draft.spec.network.uplink
    if uplink is None or not draft.knows((*UPLINK, "nameservers")):
        return
    ours = _own_addresses(draft)
    for number, server in enumerate(uplink.nameservers):
        place = (*UPLINK, "nameservers", number)
        if special(IPv4Network(server)) is not None:
            yield Violation(place, f"{server} is no name server's address", "write a server's own address")
        elif (reason := ours.get(server) or _where_no_server_is(draft, uplink, server)) is not None:
            yield Violation(place, f"{server} is {reason}", "write another server's address")


def _own_addresses(draft: Draft) -> dict[IPv4Address, str]:
    """The platform's own addresses, each with whose it is."""
    uplink = draft.spec.network.uplink
    ours: dict[IPv4Address, str] = {}
    if draft.knows(LAN, POOL, FLOATING, ALL_MACHINES, *(("machines", role.value) for role in Role)):
        try:
            laid_out = lay_out_addresses(draft.spec)
        except SpecError:  # told as what it is, of the range
            return ours
        ours = {
            address: f"the address of {entry.name}"
            for entry, address in zip(roster(draft.spec), laid_out.machines, strict=True)
        }
        ours[laid_out.floating] = "the floating address"
        ours[laid_out.gateway] = "the gateway itself: it would ask itself"
    if uplink is not None:
        ours[uplink.address.ip] = "the gateway itself: it would ask itself"
    return ours


def _where_no_server_is(draft: Draft, uplink: Uplink, server: IPv4Address) -> str | None:
    for path, what in ((PODS, "pods"), (SERVICES, "Services")):
        if draft.knows(path) and server in _range(draft, path):
            return f"an address of the {what} ({_range(draft, path)}), which the gateway can't reach"
    outer = uplink.address.network
    if outer.prefixlen <= 30 and server == outer.network_address:
        return f"the address of the uplink's range {outer} itself"
    if outer.prefixlen <= 30 and server == outer.broadcast_address:
        return f"the broadcast address of the uplink's range {outer}"
    lan = draft.spec.network.lan
    if draft.knows(LAN) and server in (lan.network_address, lan.broadcast_address):
        return f"no host's address: {not_a_host_of(lan, server)}".replace(": is", ": it is")
    return None


def domain_is_ours(draft: Draft) -> Iterator[Violation]:
    path: Path = ("network", "domain")
    domain = draft.spec.network.domain
    if not draft.knows(path):
        return
    reason = why_fixed(domain)
    if domain == "cluster.local" or domain.endswith(".cluster.local"):
        reason = "belongs to the Services inside the cluster"
    elif domain.rpartition(".")[2].isdecimal():
        reason = "ends in a number, as addresses do"
    if reason is not None:
        instead = "write a domain of your own"
        remedies = (_such(path, "groundplane.internal", f"{instead}, or"),)
        yield Violation(path, f"{domain} {reason}", instead, remedies=remedies, borne=partial(_has_domain, domain))


def _has_domain(domain: str, built: ClusterSpec) -> bool:
    return built.network.domain == domain


def names_fit_the_domain(draft: Draft) -> Iterator[Violation]:
    path: Path = ("network", "domain")
    if not draft.knows(path):
        return
    domain = draft.spec.network.domain
    longest = max((entry.name for _, entry in draft.machines), key=len, default=ROLES[Role.GATEWAY].prefix)
    # RFC 1035 grants a name 253 characters; containerd's folder for a registry, `registry.domain:5000`, is a file's
    # name, and those have 255 bytes.
    room = min(253 - len(longest) - 1, 255 - len("registry.:5000"))
    if len(domain) > room:
        message = (
            f"with {len(domain)} characters the domain makes names of hosts that are too long ({longest}, registry)"
        )
        yield Violation(path, message, f"shorten it to at most {room} characters")


def _such(path: Path, value: str, words: str) -> Remedy:
    return write(path, value, f"{words} {value}")


def free_address(draft: Draft) -> IPv4Address | None:
    """An address of the LAN that the file gives to nobody, if one can be told."""
    if not draft.knows(LAN, POOL):
        return None
    lan, (first, last) = draft.spec.network.lan, pool_of(draft.spec.network)
    taken = {entry.address for _, entry in draft.machines}
    taken |= {draft.spec.network.floating_address, lan[1], gateway_address(draft.spec)}
    numbers = (lan[number] for number in range(2, min(lan.num_addresses - 1, len(taken) + 4)))
    return next((address for address in numbers if address not in taken and not first <= address <= last), None)
