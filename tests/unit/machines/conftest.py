from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from groundplane.software import DEFAULT_VERSION, software_of
from groundplane.spec.model import ClusterSpec
from groundplane.spec.roles import Role
from groundplane.topology.model import KeyPair, Lan, Machine, Secret, Secrets, Topology, Traits

MakeTopology = Callable[..., Topology]
MakeHost = Callable[..., Path]

V1 = ("cpu,cpuacct", "cpuset", "memory", "pids", "name=systemd")


@pytest.fixture
def make_topology() -> MakeTopology:
    """A topology by hand: a gateway and control planes, on a LAN that can be made small."""

    def make(
        *, lan: str = "10.80.0.0/24", pool: tuple[str, str] = ("10.80.0.192", "10.80.0.254"), nodes: int = 2
    ) -> Topology:
        network = IPv4Network(lan)
        hosts = [IPv4Address(int(network.network_address) + number) for number in range(1, nodes + 3)]
        key = KeyPair(b"", Secret(b""))
        return Topology(
            spec=ClusterSpec.model_validate({"name": "demo"}),
            lan=Lan(network, "x.internal", hosts[0], hosts[1], IPv4Address(pool[0]), IPv4Address(pool[1])),
            machines=(
                Machine("gateway", (Role.GATEWAY,), "02:00:00:00:00:01", hosts[0], 1, 1 << 29, "gateway.x.internal"),
                *(
                    Machine(
                        f"cp{number}",
                        (Role.CONTROL_PLANE,),
                        f"02:00:00:00:01:{number:02x}",
                        hosts[number + 1],
                        2,
                        3 << 30,
                        f"cp{number}.x.internal",
                    )
                    for number in range(1, nodes + 1)
                ),
            ),
            software=software_of(DEFAULT_VERSION),
            traits=Traits(),
            secrets=Secrets(key, key, key, key, key, key, key, key, Secret(b""), Secret(b""), Secret(b"")),
        )

    return make


@pytest.fixture
def make_host(tmp_path: Path) -> MakeHost:
    """A root folder that looks like a host with control groups of the given version, as far as files can."""

    def make(version: int, *, hybrid: bool = False) -> Path:
        root = tmp_path / f"host{version}"
        (root / "proc").mkdir(parents=True)
        lines = ["22 27 0:21 / /proc rw,relatime - proc proc rw"]
        if version == 1:
            for number, controllers in enumerate(V1):
                name = controllers.removeprefix("name=")
                _cgroup(root / "sys/fs/cgroup" / name)
                lines.append(f"{40 + number} 31 0:{number} / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{controllers}")
            cpuset = root / "sys/fs/cgroup/cpuset"
            (cpuset / "cpuset.cpus").write_text("0-1\n")
            (cpuset / "cpuset.mems").write_text("0\n")
        if version == 2 or hybrid:
            point = "/sys/fs/cgroup/unified" if hybrid else "/sys/fs/cgroup"
            _cgroup(root / point.lstrip("/"), "" if hybrid else "cpuset cpu io memory hugetlb pids rdma")
            lines.append(f"60 31 0:60 / {point} rw,relatime - cgroup2 cgroup2 rw,nsdelegate")
        (root / "proc/self").mkdir()
        (root / "proc/self/mountinfo").write_text("\n".join(lines) + "\n")
        return root

    return make


def _cgroup(folder: Path, controllers: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text(f"{controllers}\n")
    (folder / "cgroup.subtree_control").write_text("memory pids\n")
