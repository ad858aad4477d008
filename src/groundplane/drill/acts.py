"""What each drill breaks. Everything goes through the Scene, which mends it again."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from typing import Final

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import nodes
from groundplane.components.haproxy.fragment import CONFIG as HAPROXY_CONFIG
from groundplane.components.haproxy.fragment import UNIT as HAPROXY
from groundplane.components.pacemaker.status import ADDRESS_RESOURCE
from groundplane.drill.faults import Scene
from groundplane.drill.model import Finding
from groundplane.errors import TransportError
from groundplane.spec.roles import Role
from groundplane.topology.model import Machine, Topology

_FILLER: Final = f"{paths.ETCD_DATA}/groundplane-drill.filler"
_REST: Final = 4 << 20
"""Bytes that are filled to the last one by writing: a file system needs some for its own books."""
_FILL: Final = f"""set -e
if systemd-detect-virt --quiet --container; then
    case $(df --output=source {paths.ETCD_DATA} | tail -n 1) in
        /dev/loop*) ;;
        *) echo "etcd's disk is the host's: filling it would harm others" >&2; exit 1 ;;
    esac
fi
systemd-run --quiet --collect --on-active=5min --unit=groundplane-drill-filler /bin/rm -f {_FILLER}
fallocate --length "$(($(df --output=avail --block-size=1 {paths.ETCD_DATA} | tail -n 1) - {_REST}))" {_FILLER}
cat /dev/zero >>{_FILLER} 2>/dev/null || true
"""
_EMPTY: Final = f"rm -f {_FILLER}; systemctl stop groundplane-drill-filler.timer"
_NONSENSE: Final = b"no-such-keyword"
JUMP: Final = 5
"""Seconds a clock jumps ahead: more than certificates and leases mind, and bent back by chrony within two minutes."""


async def balancer_crash(scene: Scene) -> None:
    await scene.power_off(await scene.active())


async def balancer_hang(scene: Scene) -> None:
    await scene.freeze(await scene.active())


async def balancer_partition_peer(scene: Scene) -> None:
    await scene.cut(await scene.active(), await scene.standby())


async def balancer_partition_vote(scene: Scene) -> None:
    await scene.cut(await scene.active(), scene.topology.gateway)


async def balancer_partition_all(scene: Scene) -> None:
    await scene.cut(await scene.active())


async def balancer_drain(scene: Scene) -> None:
    active = await scene.active()
    # A ban that ends by itself: were this program killed, the balancer could bear the address again all the same.
    ban = ("crm_resource", "--ban", f"--resource={ADDRESS_RESOURCE}", f"--node={active.name}", "--lifetime=PT5M")
    lift = ("crm_resource", "--clear", f"--resource={ADDRESS_RESOURCE}", f"--node={active.name}")
    await scene.command(active, "gives the floating address away", *ban, undo=lift)


async def haproxy_crash(scene: Scene) -> None:
    kill = ("systemctl", "kill", "--kill-whom=all", "--signal=KILL", HAPROXY)
    await scene.command(await scene.active(), "HAProxy is killed", *kill)


async def haproxy_bad_config(scene: Scene) -> None:
    for machine in scene.topology.balancers:
        await scene.offer(machine, HAPROXY_CONFIG, lambda content: content + _NONSENSE + b"\n")


async def keeping_haproxys_config(scene: Scene) -> tuple[Finding, ...]:
    """Whether the spoilt configuration was refused with HAProxy's own words, on every balancer, and lies on none."""
    taken = [name for name, why in scene.refusals.items() if _NONSENSE.decode() not in why]
    first = next(iter(scene.refusals.values()), "").splitlines()[:1]
    changed = [machine.name for machine in scene.topology.balancers if not await _as_designed(scene, machine)]
    return (
        Finding(
            "apply refuses a configuration that HAProxy can't read",
            not taken,
            f"not refused for its content: {', '.join(taken)}" if taken else "".join(first),
        ),
        Finding(
            "no balancer has it",
            not changed,
            f"changed: {', '.join(changed)}" if changed else "the configuration of all balancers is as it was",
        ),
    )


async def _as_designed(scene: Scene, machine: Machine) -> bool:
    lies = (await scene.run(machine, "sha256sum", HAPROXY_CONFIG)).text.split()[0]
    return lies == sha256(scene.content(machine, HAPROXY_CONFIG)).hexdigest()


async def control_plane_crash(scene: Scene) -> None:
    await scene.power_off(await scene.etcd_leader())


async def control_plane_partition(scene: Scene) -> None:
    await scene.cut(await scene.etcd_leader())


async def etcd_leader_kill(scene: Scene) -> None:
    await scene.command(await scene.etcd_leader(), "etcd is killed", "pkill", "--signal=KILL", "--exact", "etcd")


async def api_server_kill(scene: Scene) -> None:
    first = scene.topology.control_planes[0]
    await scene.command(first, "the API server is killed", "pkill", "--signal=KILL", "--exact", "kube-apiserver")


def only_worker(topology: Topology) -> Machine:
    """The first machine that is a worker and nothing else."""
    return next(machine for machine in topology.workers if len(machine.roles) == 1)


async def worker_crash(scene: Scene) -> None:
    await scene.power_off(only_worker(scene.topology))


async def balancer_lost(scene: Scene) -> None:
    await scene.lose(await scene.active())


async def control_plane_lost(scene: Scene) -> None:
    await scene.lose(await scene.etcd_leader())


async def worker_lost(scene: Scene) -> None:
    await scene.lose(only_worker(scene.topology))


async def gateway_lost(scene: Scene) -> None:
    await scene.lose(scene.topology.gateway)


async def scale(scene: Scene) -> None:
    await scene.add(Role.CONTROL_PLANE, Role.WORKER, Role.WORKER)


async def being_more(scene: Scene) -> tuple[Finding, ...]:
    """Whether the cluster has come to know the nodes that were added, and all are ready."""
    known = await nodes(scene.ground.reach, scene.topology)
    ours = {machine.name for machine in scene.topology.nodes}
    added = sorted(known.keys() - ours)
    late = sorted(name for name in added if not known[name].ready)
    seen = f"not ready: {', '.join(late)}" if late else f"there are {', '.join(added)}"
    return (Finding("the nodes that were added are ready", len(added) == 3 and not late, seen),)


async def gateway_crash(scene: Scene) -> None:
    await scene.power_off(scene.topology.gateway)


async def everything_off(scene: Scene) -> None:
    await scene.power_off(*scene.topology.machines)


async def disk_full(scene: Scene) -> None:
    # Should this program be killed, the machine empties its disk itself.
    machine = scene.topology.control_planes[0]
    await scene.command(machine, "etcd's disk is full", "sh", "-c", _FILL, undo=("sh", "-c", _EMPTY))


async def clock_jump(scene: Scene) -> None:
    machine = scene.topology.control_planes[0]
    await scene.command(machine, f"its clock jumps {JUMP} s ahead", "date", f"--set=+{JUMP} seconds")


async def outliving_the_gateway(scene: Scene) -> tuple[Finding, ...]:
    """Whether machines keep their addresses, and the names they know, while nobody gives any out."""
    lost = [words for words in await asyncio.gather(*(_lost(scene, machine) for machine in scene.running)) if words]
    seen = "; ".join(lost) or f"{len(scene.running)} machines keep both"
    return (Finding("machines keep their addresses and names while the gateway is off", not lost, seen),)


async def _lost(scene: Scene, machine: Machine) -> str:
    lan, api = scene.topology.lan, scene.topology.api_host
    try:
        cards = json.loads(
            (await scene.run(machine, "ip", "-json", "-4", "address", "show", "dev", machine.interface)).text
        )
        # Only IPv4: for anything else the resolver would wait for the gateway, which is off.
        known = (await scene.run(machine, "getent", "ahostsv4", machine.fqdn, api)).text
    except (TransportError, ValueError) as error:
        return f"{machine.name}: {error}"
    if str(machine.address) not in {entry["local"] for card in cards for entry in card.get("addr_info", ())}:
        return f"{machine.name} lost its address"
    addresses = {line.split()[0] for line in known.splitlines()}
    return "" if {str(machine.address), str(lan.floating)} <= addresses else f"{machine.name} lost its names"
