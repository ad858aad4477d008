"""Ports of a node that lead to its pods: asked of the plugin with what CNI's library keeps, and laid again by it."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from groundplane.components.podnet.host_ports import step
from groundplane.components.podnet.remote import host_ports
from groundplane.errors import StepError
from groundplane.state.step import Completed
from groundplane.topology.model import Topology
from groundplane.transport.fake import Call, FakeTransport

Run = Callable[[Awaitable[Any]], Any]
Ended = subprocess.CompletedProcess[bytes]

NETWORK = {
    "name": "cbr0",
    "cniVersion": "0.4.0",
    "plugins": [{"type": "flannel"}, {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}}],
}
PORTS = [{"HostPort": 8088, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}]  # go-cni gives them no other names
RESULT = {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.244.1.7/24"}]}


def kept(name: str, **changes: Any) -> dict[str, Any]:
    """As libcni 1.3 keeps what it attached a pod with."""
    return {
        "kind": "cniCacheV1",
        "containerId": f"id-of-{name}",
        "config": b64encode(json.dumps(NETWORK).encode()).decode(),
        "ifName": "eth0",
        "networkName": "cbr0",
        "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", name]],
        "capabilityArgs": {"portMappings": PORTS},
        "result": RESULT,
        **changes,
    }


class Plugin:
    """portmap, with the rules of the containers in ``laid``. One in ``broken`` can't be given any."""

    def __init__(self, *laid: str) -> None:
        self.laid = set(laid)
        self.broken: set[str] = set()
        self.told: list[tuple[str, str]] = []
        self.request: dict[str, Any] = {}

    def run(self, argv: list[str], *, input: bytes, env: dict[str, str], **_: Any) -> Ended:
        assert argv == ["/opt/cni/bin/portmap"]
        command, container = env["CNI_COMMAND"], env["CNI_CONTAINERID"]
        self.told.append((command, container))
        self.request = json.loads(input)
        well = command != "CHECK" or container in self.laid
        if command == "ADD":
            well = container not in self.broken
            self.laid |= {container} if well else set()
        return Ended(argv, int(not well), b"" if well else b'{"msg": "missing"}', b"")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    results, networks, processes = tmp_path / "results", tmp_path / "netns", tmp_path / "proc"
    results.mkdir()
    networks.mkdir()
    monkeypatch.setattr(host_ports, "KEPT", results)
    monkeypatch.setattr(host_ports, "PROCESSES", processes)
    entries: dict[str, dict[str, Any]] = {
        "web": {},
        "dns": {},
        "plain": {"capabilityArgs": {}},
        "older": {"kind": "another"},
        "going": {},
        "dead": {"netns": "/nowhere/cni-1"},
    }
    for number, (name, changes) in enumerate(entries.items()):
        (networks / name).touch()
        (results / f"cbr0-{name}-eth0").write_text(json.dumps(kept(name, netns=str(networks / name)) | changes))
        (processes / f"{number}" / "ns").mkdir(parents=True)  # one that ended since has no "net" any more
        if name not in ("going", "dead"):
            (processes / f"{number}" / "ns" / "net").hardlink_to(networks / name)
    (results / "cut-off").write_text('{"kind": ')
    return results


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Plugin:
    plugin = Plugin("id-of-dns")
    monkeypatch.setattr(subprocess, "run", plugin.run)
    return plugin


@pytest.mark.usefixtures("folder")
def test_pods_whose_ports_lead_nowhere_are_named(plugin: Plugin, capsys: pytest.CaptureFixture[str]) -> None:
    assert host_ports.main(mend=False) == 1
    assert capsys.readouterr().out.strip() == "the node's ports don't reach default/web (8088)"
    assert plugin.told == [("CHECK", f"id-of-{name}") for name in ("dead", "dns", "going", "web")]
    assert plugin.request == {
        "type": "portmap",
        "snat": True,
        "name": "cbr0",
        "cniVersion": "0.4.0",
        "runtimeConfig": {"portMappings": PORTS},
        "prevResult": RESULT,
    }


@pytest.mark.usefixtures("folder")
def test_only_what_is_missing_is_laid_and_what_was_left_of_it_goes_first(plugin: Plugin) -> None:
    assert host_ports.main(mend=True) == 0
    assert [told for told in plugin.told if told[0] != "CHECK"] == [("DEL", "id-of-web"), ("ADD", "id-of-web")]
    assert host_ports.main(mend=False) == 0


@pytest.mark.usefixtures("folder")
def test_what_the_plugin_complains_of_is_told(plugin: Plugin, capsys: pytest.CaptureFixture[str]) -> None:
    plugin.broken.add("id-of-web")
    assert host_ports.main(mend=True) == 1
    assert "default/web (8088)" in capsys.readouterr().err


def test_a_node_without_pods_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_ports, "KEPT", tmp_path / "nothing")
    assert host_ports.main(mend=False) == 0


def test_the_step_looks_and_mends(topology: Topology, run: Run) -> None:
    reach, laid = FakeTransport(), [False]

    def answer(call: Call) -> Completed:
        laid[0] |= call.argv[-1] == "mend"
        return Completed(0, b"", b"") if laid[0] else Completed(1, b"the node's ports don't reach a/b (1)\n", b"")

    reach.on("worker1", "python3", then=answer)
    one = step(topology.machine("worker1"))

    async def mend() -> None:
        assert not await one.probe(reach)
        assert one.instead is not None
        assert await one.instead(reach) == ("the node's ports don't reach a/b (1)", None)
        await one.act(reach)
        assert await one.probe(reach)

    run(mend())
    reach.on("worker1", "python3", status=1)
    with pytest.raises(StepError, match="not reached"):
        run(one.act(reach))
