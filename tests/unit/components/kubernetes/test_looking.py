"""Reading what real components print, and judging it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ruamel.yaml import YAML

from groundplane.components import flannel
from groundplane.components.cluster import api, kubeconfig, paths
from groundplane.components.cluster.names import STATIC_PODS
from groundplane.components.cluster.shared import Shared
from groundplane.components.coredns import spread as coredns
from groundplane.components.etcd import members as etcd
from groundplane.components.etcd.checks import checks as etcd_checks
from groundplane.components.etcd.spare import spare
from groundplane.components.etcd.status import member
from groundplane.components.etcd.views import Silent, View, disagreement, parse_view
from groundplane.components.flannel.steps import DIFFERENCE
from groundplane.components.kubeadm import status
from groundplane.components.kubeadm.checks import checks
from groundplane.components.pod_network import POD_NETWORK
from groundplane.components.podnet import look as podnet
from groundplane.errors import StepError, Unreachable
from groundplane.state.step import Completed, Reach
from groundplane.topology.model import Secret, Topology
from groundplane.transport.fake import Call, FakeTransport
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet

from .world import World

Run = Callable[[Awaitable[Any]], Any]

# As etcdctl 3.7.3 printed them.
STATUS = """[{"Endpoint":"https://127.0.0.1:2379","Status":{"header":{"cluster_id":2087362176038656612,"member_id":\
11631974492435651658,"revision":303,"raft_term":2},"version":"3.7.3","dbSize":352256,"leader":11631974492435651658,\
"raftIndex":318,"raftTerm":2,"raftAppliedIndex":318,"dbSizeInUse":327680}}]"""
MEMBERS = """{"header":{"cluster_id":2087362176038656612,"member_id":11631974492435651658,"raft_term":2},"members":[\
{"ID":11631974492435651658,"name":"cp1","peerURLs":["https://10.80.0.21:2380"],"clientURLs":["https://10.80.0.21:2379"]\
},{"ID":16635526836068989736,"peerURLs":["https://10.80.0.22:2380"],"isLearner":true}]}"""


def test_a_member_not_yet_started_has_no_name(topology: Topology) -> None:
    members = etcd.parse_members(MEMBERS)
    fresh = etcd.member_of(members, topology.machine("cp2"))
    assert fresh == etcd.Member(16635526836068989736, "", "https://10.80.0.22:2380", learner=True)
    assert etcd.member_of(members, topology.machine("cp3")) is None


def view(machine: str, **changes: Any) -> View:
    seen = parse_view(machine, f"{STATUS}\n\n{MEMBERS}\n")
    names = ("cp1", "cp2", "cp3")
    members = tuple(etcd.Member(number, name, f"peer-{name}", False) for number, name in enumerate(names))
    return replace(seen, members=members, **changes)


def test_a_view_is_read() -> None:
    seen = parse_view("cp1", f"{STATUS}\n\n{MEMBERS}\n")
    assert (seen.leader, seen.term, seen.applied, seen.size) == (11631974492435651658, 2, 318, 352256)


def test_members_of_one_mind() -> None:
    assert disagreement((view("cp1"), view("cp2", applied=320), view("cp3"))) == ""


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (Silent("cp3", "refused"), "cp3 doesn't answer"),
        (view("cp3", leader=7), "disagree about the leader"),
        (view("cp3", term=9), "disagree about the term"),
        (view("cp3", cluster=9), "disagree about the cluster"),
        (view("cp3", leader=0), "knows no leader"),
        (view("cp3", learner=True), "doesn't vote"),
        (view("cp3", errors=("NOSPACE",)), "NOSPACE"),
        (view("cp3", applied=5000), "behind"),
        (replace(view("cp3"), members=()), "disagree about the members"),
    ],
)
def test_members_that_differ(odd: View | Silent, words: str) -> None:
    assert words in disagreement((view("cp1"), view("cp2"), odd))


def test_a_member_too_many_is_told() -> None:
    assert "not the control planes" in disagreement((view("cp1"), view("cp2")))


def test_a_member_that_is_none_of_the_platforms_is_told_with_the_way_to_be_rid_of_it(
    topology: Topology, run: Run
) -> None:
    """One that never started has no name, and lets no control plane join any more."""
    own = [etcd.Member(number, machine.name, etcd.peer_url(machine), False) for number, machine in
           enumerate(topology.control_planes, 1)]  # fmt: skip
    odd = etcd.Member(0xBEEF, "", "https://10.80.0.99:2380", learner=True)
    assert etcd.stranger(own, topology) is None
    assert etcd.stranger([*own, odd], topology) == odd
    assert "member remove beef" in etcd.dismissal(odd, "cp1")
    reach = FakeTransport()
    there = [{"ID": m.id, "name": m.name, "peerURLs": [m.peer], "isLearner": m.learner} for m in (*own, odd)]
    reach.on("*", "sh", answers=f"{STATUS}\n\n{json.dumps({'members': there})}\n")
    (check,) = etcd_checks(topology)
    with pytest.raises(NotYet, match=re.escape(odd.peer)) as caught:
        run(check.probe(reach))
    assert caught.value.remedy == etcd.dismissal(odd, "cp1")
    assert caught.value.remedy.startswith("if nobody needs the one at https://10.80.0.99:2380: `groundplane ssh cp1")


def test_certificate_ends() -> None:
    text = "/etc/kubernetes/pki/ca.crt|notAfter=Nov  3 18:39:25 2036 GMT\n/etc/kubernetes/x.crt|\n"
    seen = status.parse_certificates("cp1", text)
    assert seen.unreadable == ("/etc/kubernetes/x.crt on cp1",)
    assert status.parse_certificates("cp1", "").none == ("cp1",)
    (only,) = seen.found
    assert only == status.Certificate(
        "cp1", "/etc/kubernetes/pki/ca.crt", datetime(2036, 11, 3, 18, 39, 25, tzinfo=UTC)
    )


def test_status_tells_of_a_member_that_does_not_vote_yet() -> None:
    assert member(view("cp3", learner=True)).problem == "doesn't vote yet"


def test_status_tells_of_the_silent(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.on("*", "kubectl", raises=Unreachable("off"))
    reach.on("*", "sh", raises=Unreachable("off"))
    seen = run(status.status(reach, topology))
    assert seen.nodes == ()
    assert seen.problem
    assert [member.problem for member in seen.etcd] == ["off"] * 3
    assert seen.silent == tuple(machine.name for machine in topology.machines)


ADMIN = """apiVersion: v1
kind: Config
clusters:
- name: demo
  cluster: {certificate-authority-data: Q0E=, server: "https://api.groundplane.internal:6443"}
users:
- name: kubernetes-admin
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
"""


def test_the_users_kubeconfig(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.on("cp1", "cat", raises=Unreachable("off"))
    reach.on("cp2", "cat", answers=ADMIN)
    made = run(kubeconfig.user_kubeconfig(reach, topology, "https://127.0.0.1:36443"))
    found = YAML(typ="safe", pure=True).load(made.text())
    assert found["current-context"] == "demo"
    assert found["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:36443",
        "tls-server-name": "api.groundplane.internal",
        "certificate-authority-data": "Q0E=",
    }
    assert found["users"][0]["user"] == {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}


class Hanging(FakeTransport):
    """Its first control plane never answers."""

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        if machine == "cp1":
            await asyncio.Event().wait()
        return await super().run(machine, argv, stdin=stdin, timeout=timeout, check=check)


def test_one_that_hangs_keeps_nobody_waiting_for_a_kubeconfig(topology: Topology, run: Run) -> None:
    reach = Hanging()
    reach.on("cp2", "cat", status=1)
    reach.on("cp3", "cat", answers=ADMIN)
    assert "demo-admin" in run(kubeconfig.user_kubeconfig(reach, topology, "https://127.0.0.1:1")).text()


def test_an_administrators_identity(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.on("cp1", "cat", answers=ADMIN)
    found = run(kubeconfig.identity(reach, topology))
    assert (found.certificate, found.key) == (b"CERT", Secret(b"KEY"))
    reach.on("cp1", "cat", answers=ADMIN.replace("S0VZ", "S0V"))
    with pytest.raises(StepError, match="isn't what kubeadm writes") as caught:
        run(kubeconfig.identity(reach, topology))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("broken", ["", "- a\n", "clusters: []\n", "client-key-data: {S0VZ"])
def test_a_broken_kubeconfig_is_not_quoted(topology: Topology, broken: str) -> None:
    with pytest.raises(StepError) as caught:
        kubeconfig.rewrite(Secret(broken.encode()), topology, "https://x")
    assert caught.value.__cause__ is None
    assert "S0VZ" not in f"{caught.value}{caught.value.detail}"


def test_those_who_come_during_a_run_share_the_next(run: Run) -> None:
    runs: list[int] = []
    begun, gate = asyncio.Event(), asyncio.Event()

    async def ask(_: Reach) -> int:
        runs.append(len(runs))
        number = len(runs)
        begun.set()
        await gate.wait()
        return number

    async def main() -> tuple[int, list[int]]:
        shared = Shared(ask)
        first = asyncio.create_task(shared(FakeTransport()))
        await begun.wait()
        rest = [asyncio.create_task(shared(FakeTransport())) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
        return await first, list(await asyncio.gather(*rest))

    assert run(main()) == (1, [2] * 5)


def counted() -> Callable[[Reach], Awaitable[int]]:
    """Something to ask that takes a while and answers how often it was asked."""
    asked: list[Reach] = []

    async def ask(reach: Reach) -> int:
        asked.append(reach)
        await asyncio.sleep(1)
        return len(asked)

    return ask


def test_those_who_come_together_share_one_run(run: Run) -> None:
    """Some ask at once, others beside something else."""

    async def main() -> list[int]:
        shared = Shared(counted())

        async def beside() -> int:
            return (await asyncio.gather(asyncio.sleep(1), shared(FakeTransport())))[1]

        return list(await asyncio.gather(shared(FakeTransport()), beside(), shared(FakeTransport()), beside()))

    assert run(main()) == [1] * 4


def test_running_too_shares_the_run_under_way(run: Run) -> None:
    async def main() -> list[int]:
        shared = Shared(counted(), running_too=True)
        return list(await asyncio.gather(*(shared(FakeTransport()) for _ in range(5))))

    assert run(main()) == [1] * 5


def test_a_failure_is_everybodys_and_the_next_asks_anew(run: Run) -> None:
    answers = [NotYet("no"), None]

    async def ask(_: Reach) -> str:
        await asyncio.sleep(0)
        reason = answers.pop(0)
        if reason:
            raise reason
        return "yes"

    async def main() -> tuple[list[Any], str]:
        shared = Shared(ask, running_too=True)
        failed = await asyncio.gather(*(shared(FakeTransport()) for _ in range(2)), return_exceptions=True)
        return list(failed), await shared(FakeTransport())

    failed, later = run(main())
    assert [str(entry) for entry in failed] == ["no", "no"]
    assert later == "yes"


def named(topology: Topology, name: str) -> Check:
    return next(check for check in (*checks(topology), *flannel.COMPONENT.checks(topology)) if check.name == name)


def test_checks_have_names_of_their_own_and_remedies(topology: Topology) -> None:
    found = (*checks(topology), *flannel.COMPONENT.checks(topology))
    assert len({check.name for check in found}) == len(found)
    assert all(check.remedy and check.title for check in found)


def test_a_node_at_another_version_is_seen(topology: Topology, run: Run) -> None:
    world = World(topology)
    for cp in topology.control_planes:
        world.make_control_plane(cp.name)
    world.make_worker("worker1")
    with pytest.raises(NotYet, match="worker2 isn't in the cluster"):
        run(named(topology, "nodes").probe(world))
    world.make_worker("worker2")
    assert "5 nodes ready" in run(named(topology, "nodes").probe(world))
    newer = replace(topology, software=replace(topology.software, kubernetes="1.38.0"))
    with pytest.raises(NotYet, match=r"runs v1\.37\.2"):
        run(named(newer, "nodes").probe(world))


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("3Gi", 3 << 30),
        ("1536Mi", 1536 << 20),
        ("24683656Ki", 24683656 << 10),
        ("2Ti", 2 << 40),
        ("512", 512),
        ("0", 0),
    ],
)
def test_an_amount_is_read_in_whatever_unit_it_comes(written: str, amount: int) -> None:
    assert api.whole(written) == amount


def test_a_node_that_tells_of_the_computers_size_is_seen(topology: Topology, lab: Topology, run: Run) -> None:
    world = World(lab)
    for cp in lab.control_planes:
        world.make_control_plane(cp.name)
    for worker in lab.workers:
        world.make_worker(worker.name)
    assert "5 nodes" in run(named(lab, "node-sizes").probe(world))
    machines = tuple(replace(m, memory=2 << 30) if m.name == "worker2" else m for m in lab.machines)
    with pytest.raises(NotYet, match="worker2 tells of 3072 MiB and 2 processors, not of 2048 MiB and 2"):
        run(named(replace(lab, machines=machines), "node-sizes").probe(world))
    machines = tuple(replace(m, cpus=0.5) if m.name == "cp1" else m for m in lab.machines)
    with pytest.raises(NotYet, match="cp1 tells of 3072 MiB and 2 processors, not of 3072 MiB and 1"):
        run(named(replace(lab, machines=machines), "node-sizes").probe(world))
    more = replace(lab, machines=tuple(replace(m, cpus=8) for m in lab.machines))
    assert run(named(more, "node-sizes").probe(world)), "the computer has no more than it has"
    assert "node-sizes" not in {check.name for check in checks(topology)}, "their own kernels tell"


@pytest.mark.parametrize(
    ("behind", "seen"),
    [
        (["10.80.0.21", "10.80.0.22", "10.80.0.23"], ""),
        (["10.80.0.21", "10.80.0.22", "10.80.0.23", "10.80.0.24"], r"leads to .*10\.80\.0\.24 instead of"),
        (["10.80.0.21", "10.80.0.22"], r"leads to 10\.80\.0\.21, 10\.80\.0\.22 instead of"),
    ],
)
def test_the_service_of_the_api_leads_to_the_control_planes_there_are(
    topology: Topology, run: Run, behind: list[str], seen: str
) -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    names = [f"{part}-{machine.name}" for machine in topology.control_planes for part in STATIC_PODS]
    pods = [{"metadata": {"name": name}, "status": ready} for name in names]
    reach = FakeTransport()
    start = ("kubectl", f"--kubeconfig={paths.ADMIN}", "--request-timeout=15s", "get")
    reach.on("*", *start, "pods", answers=json.dumps({"items": pods}))
    reach.on("*", *start, "endpointslice", answers=json.dumps({"endpoints": [{"addresses": [at]} for at in behind]}))
    check = named(topology, "control-plane-pods")
    if not seen:
        assert "these 3 API servers" in run(check.probe(reach))
        return
    with pytest.raises(NotYet, match=seen):
        run(check.probe(reach))


def test_an_api_server_that_writes_nothing_down_is_seen(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.on("*", "sh", answers="/var/log/kubernetes/audit/audit.log\n")
    check = named(topology, "audit")
    assert "3 audit logs" in run(check.probe(reach))
    asked = {machine.name: f"https://{machine.address}:6443" for machine in topology.control_planes}
    assert {call.machine: call.argv[-1] for call in reach.calls} == asked
    for cause in ({"answers": ""}, {"status": 1}):
        reach.on("cp2", "sh", **cause)
        with pytest.raises(NotYet, match="cp2"):
            run(check.probe(reach))


def test_a_moment_without_an_answer_is_bridged(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.on("*", "kubectl", status=1)
    answers: list[Completed | Exception] = [Unreachable("off"), Completed(0, b"yes", b"")]
    reach.in_turn("cp1", "kubectl", answers=answers)
    assert run(api.ask(reach, topology, ("kubectl", "get"))).text == "yes"
    reach.in_turn("cp1", "kubectl", answers=answers)
    with pytest.raises(StepError, match="no control plane answers"):
        run(api.ask(reach, topology, ("kubectl", "get"), attempts=1))


class Slow(FakeTransport):
    """cp1 hangs. ``ended`` names it once nobody waits for it any more."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    async def run(self, machine: str, argv: Sequence[str], **more: Any) -> Completed:
        if machine == "cp1":
            try:
                await asyncio.sleep(3600)
            finally:
                self.ended.append(machine)
        return await super().run(machine, argv, **more)


def test_a_control_plane_that_lets_wait_is_not_waited_for_alone(topology: Topology, run: Run) -> None:
    reach = Slow()
    reach.on("cp2", "kubectl", raises=Unreachable("no answer", where="cp2"))
    reach.on("cp3", "kubectl", answers="yes")
    assert run(api.ask(reach, topology, ("kubectl", "get"), hedge=0.01)).text == "yes"
    assert reach.ended == ["cp1"], "what nobody waits for any more is ended"
    assert [call.machine for call in reach.calls] == ["cp2", "cp3"]


@pytest.mark.parametrize("ask", [api.any_control_plane, etcd.etcd_members])
def test_who_serves_is_found_beside_a_control_plane_that_hangs(topology: Topology, run: Run, ask: Any) -> None:
    reach = Slow()
    reach.on("*", "kubectl", answers="ok")
    reach.on("*", "etcdctl", answers=MEMBERS)

    async def found() -> tuple[Any, float]:
        clock = asyncio.get_running_loop().time
        begun = clock()
        return await ask(reach, topology), clock() - begun

    answer, took = run(found())
    assert "cp2" in (answer, answer[0])
    assert took == pytest.approx(api.HEDGE)
    assert reach.ended == ["cp1"]
    assert [call.machine for call in reach.calls] == ["cp2"], "nobody else is asked"


def test_the_first_control_plane_alone_is_asked_where_it_answers(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.on("*", "kubectl", answers="ok")
    reach.on("*", "etcdctl", answers=MEMBERS)
    assert run(api.any_control_plane(reach, topology)) == "cp1"
    assert run(etcd.etcd_members(reach, topology))[0] == "cp1"
    assert run(etcd.etcd_members(reach, topology, but="cp1"))[0] == "cp2"
    assert [call.machine for call in reach.calls] == ["cp1", "cp1", "cp2"]


def test_what_a_machine_said_is_not_in_a_traceback() -> None:
    assert "s3cret" not in repr(Completed(0, b"s3cret", b"s3cret"))


def test_a_left_over_token_is_seen(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.in_turn(
        "*", "kubectl", answers=[Completed(0, b"secret/bootstrap-token-abcdef\n", b""), Completed(0, b"", b"")]
    )
    check = named(topology, "join-tokens")
    with pytest.raises(NotYet, match="1 bootstrap tokens exist"):
        run(check.probe(reach))
    assert run(check.probe(reach))


def test_a_certificate_about_to_end_is_seen(topology: Topology, run: Run) -> None:
    def dated(days: int) -> str:
        end = datetime.now(UTC) + timedelta(days=days)
        return f"/etc/kubernetes/pki/apiserver.crt|notAfter={end:%b %d %H:%M:%S %Y} GMT\n"

    reach = FakeTransport()
    reach.on("*", "sh", answers=dated(300))
    check = named(topology, "certificates")
    assert "8 certificates" in run(check.probe(reach))
    reach.on("gateway", "sh", answers="")
    with pytest.raises(NotYet, match="none on gateway"):
        run(check.probe(reach))
    reach.on("gateway", "sh", answers=dated(300) + "/etc/groundplane/registry/tls.crt|\n")
    with pytest.raises(NotYet, match=r"unreadable: .*tls\.crt on gateway"):
        run(check.probe(reach))
    reach.on("gateway", "sh", answers=dated(300))
    reach.on("cp2", "sh", answers=dated(10))
    with pytest.raises(NotYet, match=r"apiserver\.crt on cp2 ends"):
        run(named(topology, "certificates").probe(reach))


def test_strangers_are_asked_once_for_all_their_checks(topology: Topology, run: Run) -> None:
    reach = FakeTransport()
    reach.on("*", "kubectl", answers="ok")
    reach.on("cp1", "python3", answers="api|10.80.0.21|\nserving|10.80.0.51|/pods answered 200, not 401\nreadonly|x|\n")
    found = {check.name: check for check in checks(topology)}

    async def main() -> list[Any]:
        names = ("anonymous", "kubelet-certificates", "kubelet-read-only-port")
        return list(await asyncio.gather(*(found[name].probe(reach) for name in names), return_exceptions=True))

    anonymous, serving, readonly = run(main())
    assert "strangers" in anonymous
    assert isinstance(serving, NotYet)
    assert "10.80.0.51: /pods answered 200" in str(serving)
    assert "no unprotected port" in readonly
    assert len([argv for argv in reach.commands() if argv[0] == "python3"]) == 1


RESOLVERS: list[dict[str, Any]] = [
    {"metadata": {"name": f"coredns-{last}"}, "status": {"phase": phase, "podIP": f"10.244.9.{last}"}}
    for last, phase in ((2, "Running"), (3, "Running"), (4, "Pending"))
]


def verified(topology: Topology, *, broken: str = "") -> FakeTransport:
    """A transport on which a look at the cluster from pods goes well, but for ``broken`` (``KIND|NODE``).

    ``Ready|NODE`` and ``NetworkUnavailable|NODE``: that node has no such condition.
    """
    reach = FakeTransport()
    items: list[dict[str, Any]] = [
        {
            "kind": "Pod",
            "metadata": {"name": f"probe-{node.name}", "uid": f"uid-{node.name}"},
            "spec": {"nodeName": node.name, "containers": [{"ports": [{"hostPort": 23456}]}]},
            "status": {"podIP": f"10.244.{number}.2"},
        }
        for number, node in enumerate(topology.nodes)
    ]
    items.append({"kind": "Service", "metadata": {"name": "probe"}, "spec": {"clusterIP": "10.96.3.4"}})
    reach.on("*", "kubectl", answers="ok")
    start = ("kubectl", f"--kubeconfig={paths.ADMIN}", f"--request-timeout={api.PATIENCE - 5:.0f}s", "get")
    conditions = {"Ready": "True", "NetworkUnavailable": "False"}
    nodes = [
        {
            "metadata": {"name": node.name},
            "status": {
                "conditions": [
                    {"type": kind, "status": status}
                    for kind, status in conditions.items()
                    if broken != f"{kind}|{node.name}"
                ]
            },
        }
        for node in topology.nodes
    ]
    reach.on("cp1", *start, "nodes", answers=json.dumps({"items": nodes}))
    reach.on("cp1", *start, "namespaces", answers='{"items": []}')
    reach.on("cp1", *start, "pods,services", answers=json.dumps({"items": items}))
    reach.on("cp1", *start, "pods", "--namespace=kube-system", answers=json.dumps({"items": RESOLVERS}))

    def asked(call: Call) -> Completed:
        wanted = json.loads(call.stdin)
        lines = [f"pod|{pod['address']}|" for pod in wanted["pods"]]
        lines += [
            f"{kind}|x|{'refused' if broken == f'{kind}|{call.machine}' else ''}"
            for kind in ("service", "node", "proxy")
        ]
        lines += [f"hostport|{port['node']}|" for port in wanted["ports"]]
        silent = broken.removeprefix("name|")
        lines += [
            f"name|{asked['shown']}|{'timed out' if asked['server'] == silent else ''}" for asked in wanted["questions"]
        ]
        return Completed(0, "\n".join(lines).encode(), b"")

    def shell(call: Call) -> Completed:
        if "etcdctl" in call.argv[2]:
            return Completed(0, podnet.ENCRYPTED if broken != "encryption" else b"k8s\0", b"")
        return Completed(0, "".join(f"dns|{name}|\n" for name in call.stdin.decode().split()).encode(), b"")

    reach.on("*", "python3", then=asked)
    reach.on("cp1", "sh", then=shell)
    return reach


POD_CHECKS = (
    "probe-pods",
    "pod-network",
    "services-from-pods",
    "services-from-nodes",
    "kube-proxy-mode",
    "host-ports",
    "cluster-dns",
    "names-from-pods",
    "encryption",
)


async def all_of(topology: Topology, reach: FakeTransport) -> dict[str, Any]:
    found = {check.name: check for check in checks(topology)}
    seen = await asyncio.gather(*(found[name].probe(reach) for name in POD_CHECKS), return_exceptions=True)
    return dict(zip(POD_CHECKS, seen, strict=True))


def test_one_look_answers_every_check_and_is_cleared_away(topology: Topology, run: Run) -> None:
    reach = verified(topology)
    seen = run(all_of(topology, reach))
    assert not [entry for entry in seen.values() if isinstance(entry, Exception)]
    words = [" ".join(argv) for argv in reach.commands()]
    assert len([line for line in words if " apply " in line]) == 1
    assert len([line for line in words if "delete namespace groundplane-verify-" in line]) == 1
    assert len([line for line in words if line.startswith("python3")]) == len(topology.nodes)
    (told, *_) = (json.loads(call.stdin) for call in reach.calls if call.argv[0] == "python3")
    assert told["bytes"] == 64 << 10
    assert {asked["server"] for asked in told["questions"]} == {"10.244.9.2", "10.244.9.3"}
    assert {(asked["name"], asked["address"]) for asked in told["questions"]} == {
        ("kubernetes.default.svc.cluster.local", "10.96.0.1"),
        (f"{topology.api_host}.", str(topology.lan.floating)),
    }
    assert told["ports"][0] == {"node": "cp1", "address": "10.80.0.21", "port": 23456, "pod": "probe-cp1"}


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ("service|worker2", "services-from-pods"),
        ("node|cp1", "services-from-nodes"),
        ("name|10.244.9.3", "names-from-pods"),
        ("encryption", "encryption"),
    ],
)
def test_what_is_broken_is_one_checks_matter(topology: Topology, run: Run, broken: str, check: str) -> None:
    seen = run(all_of(topology, verified(topology, broken=broken)))
    assert [name for name, entry in seen.items() if isinstance(entry, NotYet)] == [check]


@pytest.mark.parametrize("condition", ["Ready", "NetworkUnavailable"])
def test_no_pod_is_made_before_one_can_begin_on_every_node(topology: Topology, run: Run, condition: str) -> None:
    reach = verified(topology, broken=f"{condition}|worker2")
    seen = run(all_of(topology, reach))
    assert all("no pod can begin on worker2" in str(entry) for entry in seen.values())
    assert not [argv for argv in reach.commands() if "apply" in argv]


def test_pods_are_cleared_away_when_looking_fails(topology: Topology, run: Run) -> None:
    reach = verified(topology)
    reach.on("cp1", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "rollout", status=1, stderr="timed out")
    seen = run(all_of(topology, reach))
    assert all(isinstance(entry, NotYet) for entry in seen.values())
    assert [argv for argv in reach.commands() if "delete" in argv]


def test_flannel_is_applied_only_when_something_differs(topology: Topology, run: Run) -> None:
    step = flannel.COMPONENT.steps(topology)[0]
    prefix = ("kubectl", f"--kubeconfig={paths.ADMIN}", f"--request-timeout={api.PATIENCE - 5:.0f}s")
    reach = FakeTransport()
    reach.on("*", *DIFFERENCE, answers="1")
    reach.on("*", *prefix, "apply", answers="applied")
    assert not run(step.probe(reach))
    run(step.act(reach))
    reach.on("*", *DIFFERENCE, answers="0")
    assert run(step.probe(reach))
    (applied,) = [call for call in reach.calls if "apply" in call.argv]
    kinds = [document["kind"] for document in YAML(typ="safe", pure=True).load_all(applied.stdin.decode())]
    assert kinds[-1] == "DaemonSet"
    assert topology.software.flannel_image in applied.stdin.decode()


def test_a_control_plane_that_cannot_tell_leaves_it_to_the_next(topology: Topology, run: Run) -> None:
    step = flannel.COMPONENT.steps(topology)[0]
    reach = FakeTransport()
    reach.on("cp1", *DIFFERENCE, raises=Unreachable("no answer", where="cp1"))
    reach.on("cp2", *DIFFERENCE, status=2, stderr="error: EOF")
    reach.on("cp3", *DIFFERENCE, answers="0")
    assert run(step.probe(reach))
    reach.on("cp3", *DIFFERENCE, status=2, stderr="error: EOF")
    assert not run(step.probe(reach))


def dns_pods(*where: str) -> str:
    items = [
        {
            "metadata": {"name": f"coredns-{number}"},
            "spec": {"nodeName": node.partition(":")[0]} if node else {},
            "status": {"phase": node.partition(":")[2] or ("Running" if node else "Pending")},
        }
        for number, node in enumerate(where)
    ]
    return json.dumps({"items": items})


@pytest.mark.parametrize(
    ("where", "apart"),
    [
        (("cp1", "cp2"), True),
        (("cp1", "cp1"), False),
        (("cp1", ""), False),
        ((), False),
        (("cp1", "cp1", "cp2"), True),
        (("cp1", "cp2:Failed"), False),
    ],
)
def test_coredns_is_apart_on_two_nodes(topology: Topology, run: Run, where: tuple[str, ...], apart: bool) -> None:
    reach = FakeTransport()
    reach.on("*", "kubectl", answers=dns_pods(*where))
    assert run(coredns.spread(reach, topology)) is apart


def test_coredns_moves_only_once_there_is_where_to(topology: Topology, run: Run) -> None:
    prefix = ("kubectl", f"--kubeconfig={paths.ADMIN}", f"--request-timeout={api.PATIENCE - 5:.0f}s")
    reach = FakeTransport()
    one = {"metadata": {"name": "cp1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    two = {**one, "metadata": {"name": "cp2"}}
    early, late = (Completed(0, json.dumps({"items": items}).encode(), b"") for items in ([one], [one, two]))
    reach.in_turn("*", *prefix, "get", "nodes", answers=[early, early, late])
    together, waiting, apart = (
        Completed(0, dns_pods(*where).encode(), b"") for where in (("cp1", "cp1"), ("cp1", ""), ("cp1", "cp2"))
    )
    reach.in_turn("*", *prefix, "get", "pods", answers=[together, waiting, apart])
    reach.on("*", *prefix, "get", "--raw=/readyz", answers="ok")
    reach.on("*", *prefix, "delete", "pod")
    reach.on("*", "kubectl", f"--kubeconfig={paths.ADMIN}", "rollout", "status")
    run(coredns.spread_out(reach, topology, POD_NETWORK))
    verbs = [verb for argv in reach.commands() if "get" not in argv for verb in argv if verb in ("rollout", "delete")]
    assert verbs == ["rollout", "delete", "rollout"]
    assert len([argv for argv in reach.commands() if "nodes" in argv]) == 3


# -- whether the others can carry the cluster ---------------------------------------------------------------------


def test_a_control_plane_may_be_worked_on_while_a_majority_stands_without_it(topology: Topology, run: Run) -> None:
    check = spare(topology, topology.machine("cp2"))
    assert check is not None
    reach = FakeTransport()
    reach.on("*", "etcdctl")
    reach.on("*", "kubectl")
    assert run(check.probe(reach)) == "cp1, cp3 carry on"
    assert "cp2" not in {call.machine for call in reach.calls}
    asked = [call.argv for call in reach.calls if call.machine == "cp3" and call.argv[0] == "kubectl"]
    assert f"--server=https://{topology.machine('cp3').address}:6443" in asked[0]
    reach.on("cp1", "kubectl", status=1)
    with pytest.raises(NotYet, match="2 others are needed, well are cp3"):
        run(check.probe(reach))


def test_workers_and_lone_control_planes_have_no_spare(topology: Topology) -> None:
    assert spare(topology, topology.machine("worker1")) is None
    alone = replace(topology, machines=tuple(m for m in topology.machines if m.name not in ("cp2", "cp3")))
    assert spare(alone, alone.machine("cp1")) is None
