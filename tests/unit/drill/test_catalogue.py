"""Every drill says what it does, and breaks what it says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import pytest
from tests.unit.components.ha import said
from tests.unit.drill.made import Breakable, Hands, topology

from groundplane.cloudinit.seed import Seed
from groundplane.components.etcd.views import View
from groundplane.drill import acts, faults
from groundplane.drill.catalogue import ALL, DRILLS, chosen, drill_named
from groundplane.drill.faults import Scene, ground_of
from groundplane.drill.model import Drill, Need
from groundplane.errors import GroundplaneError, MachineError, Unreachable
from groundplane.events import silent
from groundplane.machines.base import Blueprint
from groundplane.state.model import File, MachineState
from groundplane.state.step import Completed
from groundplane.topology.model import Topology, Traits

WANTED = {
    "api-server-kill", "balancer-crash", "balancer-drain", "balancer-hang", "balancer-partition-all",
    "balancer-partition-peer", "balancer-partition-vote", "clock-jump", "control-plane-crash",
    "control-plane-partition", "disk-full", "etcd-leader-kill", "everything-off", "gateway-crash", "haproxy-bad-config",
    "haproxy-crash", "machine-lost-balancer", "machine-lost-control-plane", "machine-lost-gateway",
    "machine-lost-worker", "scale", "worker-crash",
}  # fmt: skip
BROKEN = {
    "balancer-crash": ["stop lb1 at once"],
    "balancer-hang": ["freeze lb1"],
    "balancer-partition-peer": ["cut lb1 from lb2"],
    "balancer-partition-vote": ["cut lb1 from gateway"],
    "balancer-partition-all": ["cut lb1 from all"],
    "control-plane-crash": ["stop cp2 at once"],
    "control-plane-partition": ["cut cp2 from all"],
    "worker-crash": ["stop worker1 at once"],
    "gateway-crash": ["stop gateway at once"],
    "machine-lost-balancer": ["stop lb1 at once", "remove lb1"],
    "machine-lost-control-plane": ["stop cp2 at once", "remove cp2"],
    "machine-lost-gateway": ["stop gateway at once", "remove gateway"],
    "machine-lost-worker": ["stop worker1 at once", "remove worker1"],
    "scale": ["add control-plane worker worker"],
    "haproxy-bad-config": ["offer lb1 /etc/haproxy/haproxy.cfg", "offer lb2 /etc/haproxy/haproxy.cfg"],
    "everything-off": [f"stop {machine.name} at once" for machine in topology().machines],
}
TOLD = {
    "balancer-drain": ("lb1", "crm_resource --ban --resource=floating-address --node=lb1 --lifetime=PT5M"),
    "haproxy-crash": ("lb1", "systemctl kill --kill-whom=all --signal=KILL haproxy.service"),
    "api-server-kill": ("cp1", "pkill --signal=KILL --exact kube-apiserver"),
    "etcd-leader-kill": ("cp2", "pkill --signal=KILL --exact etcd"),
    "clock-jump": ("cp1", "date --set=+5 seconds"),
    "disk-full": ("cp1", "sh -c " + acts._FILL),
}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Breakable:
    """lb1 has the floating address, cp2 leads etcd; machines do what they are told."""
    found = Breakable()
    found.transport.on("*", "crm_mon", answers=said.monitor(holders=("lb1",)))
    for command in ("crm_resource", "systemctl", "pkill", "date", "sh"):
        found.transport.on("*", command)

    async def views(*_: object) -> tuple[View, ...]:
        return tuple(View(f"cp{n}", n, 1, 2, 1, 1, False, 0, (), (), "3.7.3") for n in (1, 2, 3))

    monkeypatch.setattr(faults, "views", views)
    return found


def scene_of(provider: Breakable, platform: Topology) -> Scene:
    """Each balancer's configuration is ``global``; offered anything else, they quote it and refuse."""
    state = [File("/etc/haproxy/haproxy.cfg", b"global\n")]
    blueprints = [Blueprint(MachineState(m.name, files=tuple(state)), Seed(b"", b"", b"")) for m in platform.balancers]
    return Scene(ground_of(platform, provider, blueprints, (), Hands(provider.asked)), silent)


def test_all_drills_are_there_and_each_says_what_it_does() -> None:
    assert {drill.name for drill in DRILLS} == WANTED
    assert len(DRILLS) == len(WANTED)
    for drill in DRILLS:
        assert drill.title
        assert drill.risk
        assert drill.units
        assert drill.promise.gap > 0
    assert set(BROKEN) | set(TOLD) == WANTED


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_a_drill_breaks_what_it_says(drill: Drill, provider: Breakable) -> None:
    scene = scene_of(provider, topology(everything=True))

    async def main() -> None:
        await drill.inject(scene)

    asyncio.run(main())
    assert scene.began is not None
    assert len(scene.acts) == max(1, sum(words.startswith("offer") for words in BROKEN.get(drill.name, [])))
    told = [(call.machine, " ".join(call.argv)) for call in provider.transport.calls if call.argv[0] != "crm_mon"]
    assert provider.asked == BROKEN.get(drill.name, [])
    assert told == ([TOLD[drill.name]] if drill.name in TOLD else [])


@pytest.mark.parametrize(
    ("name", "undone"),
    [("machine-lost-control-plane", ["make cp2 anew"]), ("scale", ["take away"])],
)
def test_who_is_lost_is_made_anew_and_who_was_added_goes(name: str, undone: list[str], provider: Breakable) -> None:
    async def main() -> Scene:
        async with scene_of(provider, topology()) as scene:
            await drill_named(name).inject(scene)
            assert (topology().machine("cp2") in scene.running) == (name == "scale")
        return scene

    scene = asyncio.run(main())
    assert provider.asked == BROKEN[name] + undone
    assert len(scene.running) == len(scene.topology.machines)
    assert scene.struck == ({"cp2"} if name != "scale" else set())


def test_nodes_that_were_added_must_be_there_and_ready(provider: Breakable, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(*ready: bool) -> tuple[bool, str]:
        names = [machine.name for machine in topology().nodes]
        known = dict.fromkeys(names, SimpleNamespace(ready=True))
        known |= {f"more{number}": SimpleNamespace(ready=one) for number, one in enumerate(ready)}

        async def nodes(*_: object) -> dict[str, SimpleNamespace]:
            return known

        monkeypatch.setattr(acts, "nodes", nodes)
        (finding,) = asyncio.run(acts.being_more(scene_of(provider, topology())))
        return finding.ok, finding.seen

    assert seen(True, True, True) == (True, "there are more0, more1, more2")
    assert seen(True, False, True) == (False, "not ready: more1")
    assert seen(True, True) == (False, "there are more0, more1")


def test_the_ban_of_a_drain_is_lifted(provider: Breakable) -> None:
    async def main() -> None:
        async with scene_of(provider, topology()) as scene:
            await drill_named("balancer-drain").inject(scene)

    asyncio.run(main())
    assert provider.transport.commands()[-1] == ("crm_resource", "--clear", "--resource=floating-address", "--node=lb1")


def test_a_full_disk_empties_itself_should_nobody_be_left_to_do_it() -> None:
    assert acts._FILL.index("systemd-run --quiet --collect --on-active=5min") < acts._FILL.index("fallocate")
    assert f"rm -f {acts._FILLER}" in acts._EMPTY


def test_a_lab_refuses_what_would_harm_its_host() -> None:
    for name in ("clock-jump", "disk-full"):
        with pytest.raises(MachineError, match="of its own") as caught:
            chosen(name, topology())
        assert "drill list" in caught.value.hint
        assert chosen(name, topology(everything=True))[0][0].name == name


def test_all_does_what_can_be_done_and_tells_what_cannot() -> None:
    drills, refused = chosen(ALL, topology())
    assert {entry.name for entry in refused} == {"clock-jump", "disk-full"}
    assert {drill.name for drill in drills} == WANTED - {"clock-jump", "disk-full"}
    assert drills[-1].name == "everything-off"


def test_a_small_platform_lacks_what_drills_need() -> None:
    spine = topology()
    alone = replace(spine, machines=tuple(m for m in spine.machines if m.name in ("gateway", "lb1", "cp1")))
    drills, refused = chosen(ALL, alone)
    assert {drill.name for drill in drills} == {
        "gateway-crash", "haproxy-bad-config", "machine-lost-gateway", "everything-off",
    }  # fmt: skip
    assert next(entry.reason for entry in refused if entry.name == "balancer-crash") == f"it needs {Need.STANDBY}"


def test_an_unknown_drill_is_told_with_those_there_are() -> None:
    with pytest.raises(GroundplaneError, match="no drill nonsense") as caught:
        chosen("nonsense", replace(topology(), traits=Traits()))
    assert "balancer-crash" in caught.value.hint


def test_addresses_and_names_that_are_lost_with_the_gateway_are_found(provider: Breakable) -> None:
    platform = topology()

    def shown(address: object) -> str:
        return json.dumps([{"addr_info": [{"local": str(address)}]}])

    for machine in platform.machines:
        provider.transport.on(machine.name, "ip", answers=shown(machine.address))
        provider.transport.on(machine.name, "getent", answers=f"{machine.address} x\n{platform.lan.floating} y\n")

    async def look() -> tuple[bool, str]:
        scene = scene_of(provider, platform)
        await scene.power_off(platform.gateway)
        (finding,) = await acts.outliving_the_gateway(scene)
        return finding.ok, finding.seen

    assert asyncio.run(look()) == (True, "7 machines keep both")
    provider.transport.on("cp1", "ip", answers="[{}]")
    provider.transport.on("cp2", "getent", then=lambda call: Completed(0, b"", b""))
    provider.transport.on("cp3", "ip", raises=Unreachable("gone", where="cp3"))
    ok, seen = asyncio.run(look())
    assert not ok
    assert seen == "cp1 lost its address; cp2 lost its names; cp3: cp3: gone"


def test_a_spoilt_configuration_must_be_refused_for_its_content_and_lie_nowhere(provider: Breakable) -> None:
    digest = sha256(b"global\n").hexdigest()
    for name in ("lb1", "lb2"):
        provider.transport.on(name, "sha256sum", answers=f"{digest}  /etc/haproxy/haproxy.cfg")

    async def look(**refusals: str) -> list[tuple[bool, str]]:
        scene = scene_of(provider, topology())
        await acts.haproxy_bad_config(scene)
        scene.refusals.update(refusals)
        return [(finding.ok, finding.seen) for finding in await acts.keeping_haproxys_config(scene)]

    assert asyncio.run(look()) == [
        (True, "lb1: haproxy does not accept /etc/haproxy/haproxy.cfg"),
        (True, "the configuration of all balancers is as it was"),
    ]
    provider.transport.on("lb2", "sha256sum", answers="0123  /etc/haproxy/haproxy.cfg")
    assert asyncio.run(look(lb1="", lb2="it can't be asked")) == [
        (False, "not refused for its content: lb1, lb2"),
        (False, "changed: lb2"),
    ]
