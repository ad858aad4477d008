"""A topology of three control planes and two workers, and worlds for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from groundplane.software import DEFAULT_VERSION, software_of
from groundplane.spec.model import ClusterSpec
from groundplane.spec.roles import Role
from groundplane.topology.model import KeyPair, Lan, Machine, Secret, Secrets, Topology, Traits

ROLES = (
    ("gateway", Role.GATEWAY, 1),
    ("lb1", Role.BALANCER, 11),
    ("lb2", Role.BALANCER, 12),
    ("cp1", Role.CONTROL_PLANE, 21),
    ("cp2", Role.CONTROL_PLANE, 22),
    ("cp3", Role.CONTROL_PLANE, 23),
    ("worker1", Role.WORKER, 51),
    ("worker2", Role.WORKER, 52),
)
LAB = Traits(cgroup_version=1, own_clock=False, own_kernel=False, lowers_oom_score=False)


def _pair(name: str) -> KeyPair:
    return KeyPair(f"certificate of {name}\n".encode(), Secret(f"key of {name}\n".encode()))


@pytest.fixture
def topology() -> Topology:
    domain = "groundplane.internal"
    machines = tuple(
        Machine(
            name, (role,), f"52:00:00:00:00:{last:02x}", IPv4Address(f"10.80.0.{last}"), 2, 3 << 30, f"{name}.{domain}"
        )
        for name, role, last in ROLES
    )
    secrets = Secrets(
        platform_ca=_pair("platform"),
        kubernetes_ca=_pair("kubernetes"),
        front_proxy_ca=_pair("front proxy"),
        etcd_ca=_pair("etcd"),
        service_account=_pair("service accounts"),
        registry=_pair("registry"),
        qnetd=_pair("qnetd"),
        qdevice=_pair("qdevice"),
        corosync_key=Secret(b"c" * 256),
        pacemaker_key=Secret(b"p" * 256),
        encryption_key=Secret(b"e" * 32),
    )
    lan = Lan(
        range=IPv4Network("10.80.0.0/24"),
        domain=domain,
        gateway=IPv4Address("10.80.0.1"),
        floating=IPv4Address("10.80.0.10"),
        pool_first=IPv4Address("10.80.0.192"),
        pool_last=IPv4Address("10.80.0.254"),
    )
    return Topology(
        spec=ClusterSpec(name="demo"),
        lan=lan,
        machines=machines,
        software=software_of(DEFAULT_VERSION),
        traits=Traits(),
        secrets=secrets,
    )


@pytest.fixture
def lab(topology: Topology) -> Topology:
    return replace(topology, traits=LAB)


@pytest.fixture
def run(virtual_time: Callable[[Coroutine[Any, Any, Any]], Any]) -> Callable[[Awaitable[Any]], Any]:
    """Awaits anything to its end, on a clock that jumps."""

    async def main(awaitable: Awaitable[Any]) -> Any:
        return await awaitable

    return lambda awaitable: virtual_time(main(awaitable))
