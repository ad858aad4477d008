"""What the pod network derived from a node's identity: looked at, and removed with it. Its bridge is kept up as well.

A node that joins again under its name is given another range for its pods. The bridge keeps the old one's address,
and the bridge plugin refuses every pod on it ("already has an IP address different from") until somebody removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, cast

from groundplane.components.cluster.api import ask, kubectl, loads, read
from groundplane.components.podnet.network import PodNetwork
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology

# A pod whose sandbox is gone gets a new one from the kubelet, its containers with it: nothing of the API is touched.
_END_SANDBOXES = """
while read -r uid; do
  for id in $(ctr --namespace=k8s.io containers ls --quiet \\
      "labels.\\"io.kubernetes.pod.uid\\"==$uid,labels.\\"io.cri-containerd.kind\\"==sandbox"); do
    ctr --namespace=k8s.io tasks kill --signal=SIGKILL "$id" || :
  done
done
"""


@dataclass(frozen=True, slots=True)
class Stale:
    """A device with an address that isn't of the node's range, or (without one here) one that is down."""

    device: str
    address: IPv4Address | None = None

    def __str__(self) -> str:
        return f"{self.device} has the address {self.address}" if self.address else f"{self.device} is down"


Links = Sequence[Mapping[str, Any]]


async def links_of(reach: Reach, machine: Machine) -> Links:
    """The devices on ``machine`` with their IPv4 addresses, as ip(8) has them."""
    answer = await reach.run(machine.name, ("ip", "-4", "-json", "address", "show"), timeout=15)
    return cast(Links, loads(f'{{"all": {answer.text or "[]"}}}')["all"])


def stale(links: Links, network: PodNetwork, pods: IPv4Network) -> tuple[Stale, ...]:
    """Those of ``links`` that are the network's and aren't of the range ``pods``, and its bridge where that is down.
    One that isn't there is no fault: it is made for the first pod."""
    return (*_elsewhere(links, (network.bridge, network.overlay), pods), *_down(links, network.bridge))


def _elsewhere(links: Links, devices: tuple[str, ...], pods: IPv4Network) -> Iterator[Stale]:
    for link in links:
        if link.get("ifname") in devices:
            addresses = (IPv4Address(entry["local"]) for entry in link.get("addr_info", ()))
            yield from (Stale(link["ifname"], address) for address in addresses if address not in pods)


def _down(links: Links, device: str) -> Iterator[Stale]:
    if any(link.get("ifname") == device and "UP" not in link.get("flags", ()) for link in links):
        yield Stale(device)


async def forget(reach: Reach, machine: Machine, network: PodNetwork) -> None:
    """Remove all of it from ``machine``, where no pod runs any more."""
    paths = (*network.reserved, *network.lease)
    await _remove(reach, machine, (network.bridge, network.overlay), paths)


async def begin_anew(
    reach: Reach, topology: Topology, machine: Machine, network: PodNetwork, found: tuple[Stale, ...]
) -> None:
    """Remove what is ``found`` from the running ``machine``. With the bridge, each pod that hangs on it begins anew,
    whatever its address: the next bridge wouldn't know it. Pods in the node's own network aren't interrupted."""
    devices = {one.device for one in found if one.address}
    if Stale(network.bridge) in found:
        await reach.run(machine.name, ("ip", "link", "set", network.bridge, "up"), timeout=15)
    if network.bridge in devices:
        uids = "".join(f"{uid}\n" for uid in await _attached(reach, topology, machine)).encode()
        await reach.run(machine.name, ("sh", "-c", _END_SANDBOXES), stdin=uids, timeout=60)
        await _remove(reach, machine, (network.bridge,), network.reserved)
    if network.overlay in devices:
        await _remove(reach, machine, (network.overlay,), network.lease)
        # Its own pod makes both when it begins, and only then.
        own = kubectl("delete", "pods", f"--namespace={network.namespace}", *_on(machine), "--wait=false")
        await ask(reach, topology, own)


async def _attached(reach: Reach, topology: Topology, machine: Machine) -> tuple[str, ...]:
    """The UIDs of the pods on ``machine`` that have a network of their own."""
    argv = kubectl("get", "pods", "--all-namespaces", *_on(machine), "--output=json")
    items = loads((await read(reach, topology, argv)).text)["items"]
    return tuple(item["metadata"]["uid"] for item in items if not item["spec"].get("hostNetwork"))


def _on(machine: Machine) -> tuple[str, ...]:
    return (f"--field-selector=spec.nodeName={machine.name}",)


async def _remove(reach: Reach, machine: Machine, devices: tuple[str, ...], paths: tuple[str, ...]) -> None:
    script = "".join(f"[ ! -e /sys/class/net/{device} ] || ip link delete {device} || exit\n" for device in devices)
    await reach.run(machine.name, ("sh", "-c", f"{script}rm -rf {' '.join(paths)}"), timeout=30)
