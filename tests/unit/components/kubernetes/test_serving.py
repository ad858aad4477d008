"""Which serving certificates are approved: those for exactly what a machine is."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from groundplane.components.kubeadm.steps import steps
from groundplane.components.kubelet import serving
from groundplane.components.kubelet.remote import approve as judge
from groundplane.components.kubelet.remote.approve import Request
from groundplane.components.renewal.wanted import nodes
from groundplane.errors import ConditionTimeout, StepError
from groundplane.topology.model import Topology

from .world import World, request

Run = Callable[[Awaitable[Any]], Any]


def pem(
    names: Sequence[str] = ("worker1",),
    addresses: Sequence[str] = ("10.80.0.51",),
    *,
    common: str = "system:node:worker1",
    organisation: str = "system:nodes",
    extra: Sequence[x509.GeneralName] = (),
) -> bytes:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
    alternatives = [*map(x509.DNSName, names), *(x509.IPAddress(ip_address(a)) for a in addresses), *extra]
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def resigned() -> bytes:
    """A request with the last bits of its signature changed."""
    lines = pem().splitlines()
    der = bytearray(b64decode(b"".join(lines[1:-1])))
    der[-1] ^= 1
    return b"\n".join((lines[0], b64encode(der), lines[-1], b""))


def asked(content: bytes) -> Request:
    return Request(
        name="csr-1",
        user="system:node:worker1",
        groups=frozenset({"system:nodes", "system:authenticated"}),
        usages=frozenset({"digital signature", "server auth"}),
        pem=content,
    )


@pytest.mark.parametrize(
    ("names", "addresses"),
    [(["worker1"], ["10.80.0.51"]), (["worker1", "worker1.groundplane.internal"], []), ([], ["10.80.0.51"])],
)
def test_what_a_machine_is_speaks_for_it(topology: Topology, names: list[str], addresses: list[str]) -> None:
    assert serving.objection(asked(pem(names, addresses)), topology.machine("worker1")) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pem(["worker2"]), "worker2"),
        (pem(["worker1", "api.groundplane.internal"]), "api.groundplane.internal"),
        (pem(addresses=["10.80.0.51", "10.80.0.10"]), "10.80.0.10"),
        (pem(extra=[x509.RFC822Name("a@b.example")]), "a@b.example"),
        (pem(extra=[x509.UniformResourceIdentifier("spiffe://x/y")]), "spiffe"),
        (pem([], []), "names nothing"),
        (pem(common="system:node:worker2"), "subject"),
        (pem(organisation="system:masters"), "subject"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "can't be read"),
        (pem()[:120] + b"\n-----END CERTIFICATE REQUEST-----\n", "can't be read"),
        (pem(["worker2"]) + pem(), "can't be read"),
        (b"\n" + pem(), "can't be read"),
        (resigned(), "signature"),
    ],
)
def test_anything_more_speaks_against_it(topology: Topology, content: bytes, reason: str) -> None:
    assert reason in serving.objection(asked(content), topology.machine("worker1"))


def test_who_sent_it_and_what_for_count_too(topology: Topology) -> None:
    machine, honest = topology.machine("worker1"), asked(pem())
    assert serving.objection(replace(honest, user="system:node:worker2"), machine)
    assert serving.objection(replace(honest, groups=frozenset({"system:authenticated"})), machine)
    assert serving.objection(replace(honest, usages=frozenset({"server auth", "client auth"})), machine)
    assert serving.objection(replace(honest, usages=frozenset({"digital signature"})), machine)


def test_a_node_nobody_knows_may_call_itself_nothing() -> None:
    stranger = replace(asked(pem(common="system:node:x")), user="system:node:x")
    assert "worker1" in judge.objection(stranger, "x", (), lambda _: True)


def test_control_planes_approve_by_the_same_judgement(
    topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = topology.machine("worker1")
    items = [request("csr-a", worker, pem()), request("csr-b", worker, pem(["cp1"])), request("csr-c", worker, pem())]
    items[2]["status"] = {"conditions": [{"type": "Approved"}]}
    approved = list[tuple[str, ...]]()

    def kubectl(*words: str) -> CompletedProcess[str]:
        if words != judge.PENDING:
            approved.append(words)
        return CompletedProcess(words, 0, json.dumps({"items": items}) if words == judge.PENDING else "", "")

    (tmp_path / "nodes.json").write_bytes(nodes(topology))
    monkeypatch.setattr(judge, "kubectl", kubectl)
    monkeypatch.setattr(judge, "signed", lambda _: True)
    monkeypatch.setattr("sys.argv", ["approve.py", str(tmp_path / "nodes.json")])
    judge.main()
    assert approved == [("certificate", "approve", "csr-a")]
    assert "csr-b of system:node:worker1 is not approved: it asks for cp1" in capsys.readouterr().out


@pytest.fixture
def world(topology: Topology) -> World:
    world = World(topology, founded=True)
    world.make_control_plane("cp1")
    world.make_worker("worker1")
    return world


def test_an_honest_request_is_approved_and_then_nothing_is_left_to_do(world: World, run: Run) -> None:
    step = next(found for found in steps(world.topology) if found.name == "kubelet-serving:worker1")
    world.requests = [request("csr-a", world.topology.machine("worker1"), pem())]

    async def main() -> None:
        assert not await step.probe(world)
        await step.act(world)
        assert await step.probe(world)

    run(main())
    assert len(world.commands("certificate", "approve", "csr-a")) == 1


def test_a_silent_api_is_no_failure_of_the_probe(world: World, run: Run) -> None:
    step = next(found for found in steps(world.topology) if found.name == "kubelet-serving:worker1")
    world.has["worker1"].add("serving")
    world.quorum = False
    assert not run(step.probe(world))


def test_a_renewal_is_found_and_approved(world: World, run: Run) -> None:
    step = next(found for found in steps(world.topology) if found.name == "kubelet-serving:worker1")
    world.has["worker1"].add("serving")

    async def main() -> None:
        assert await step.probe(world)
        world.requests = [request("csr-b", world.topology.machine("worker1"), pem())]
        assert not await step.probe(world)
        await step.act(world)
        assert await step.probe(world)

    run(main())


def test_a_foreign_name_is_never_approved(world: World, run: Run) -> None:
    machine = world.topology.machine("worker1")
    world.requests = [request("csr-c", machine, pem(["api.groundplane.internal"]))]
    with pytest.raises(ConditionTimeout) as caught:
        run(serving.approve(world, world.topology, machine, deadline=5))
    assert "api.groundplane.internal" in caught.value.detail
    assert not world.commands("approve")


def test_a_foreign_request_beside_an_honest_one_is_told(world: World, run: Run) -> None:
    machine = world.topology.machine("worker1")
    world.requests = [request("csr-d", machine, pem(["evil"])), request("csr-e", machine, pem())]
    with pytest.raises(StepError, match="not approved") as caught:
        run(serving.approve(world, world.topology, machine, deadline=5))
    assert "csr-d" in caught.value.detail
    assert not world.commands("approve", "csr-d")


def test_other_nodes_requests_are_not_this_steps(world: World, run: Run) -> None:
    step = next(found for found in steps(world.topology) if found.name == "kubelet-serving:worker1")
    world.has["worker1"].add("serving")
    world.requests = [request("csr-f", world.topology.machine("worker2"), pem())]
    assert run(step.probe(world))
