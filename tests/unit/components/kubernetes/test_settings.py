"""What kubeadm keeps in the cluster: ours is brought about, what others wrote beside it stays."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from ruamel.yaml import YAML

from groundplane.components.kubeadm import settings
from groundplane.components.kubeadm.settings import compared, diff, look, words
from groundplane.components.kubeadm.steps import SETTINGS, steps
from groundplane.errors import CommandFailed, StepError
from groundplane.state.step import Completed
from groundplane.topology.model import Topology

Run = Callable[[Awaitable[Any]], Any]


def test_the_same_in_other_words_is_no_difference() -> None:
    there = "b: [1]\nlist:\n- name: x\n  value: 'true'\na: {c: 1, theirs: 2}\n"
    ours = {"a": {"c": 1}, "b": [1], "list": [{"name": "x", "value": "true"}], "off": False, "none": 0}
    assert not compared("place", "key", there, ours).differs, "kubeadm leaves out what is zero"


def test_ours_is_put_among_theirs() -> None:
    document = compared("place", "key", "a: {c: 1, theirs: 2}\nlist: [x, y]\n", {"a": {"c": 3}, "list": ["x"]})
    assert YAML(typ="safe", pure=True).load(document.wanted) == {"a": {"c": 3, "theirs": 2}, "list": ["x"]}


@pytest.mark.parametrize("there", ["", "{", "just words"])
def test_what_is_no_configuration_is_replaced(there: str) -> None:
    document = compared("place", "key", there, {"a": 1})
    assert (document.differs, document.wanted) == (True, "a: 1\n")


class Cluster:
    """Its ConfigMaps and workloads; ``ill``: kube-proxy doesn't get well with this of its configuration."""

    def __init__(self, topology: Topology) -> None:
        documents = settings.wanted_documents(topology)
        self.data = {
            place: {key: settings._text(documents[kind]), "other": "kept"}
            for kind, (place, key) in settings._PLACES.items()
        }
        software = topology.software
        self.images = {
            "kube-proxy": f"registry.k8s.io/kube-proxy:v{software.kubernetes}",
            "coredns": f"{software.coredns_repository}/coredns:{software.coredns_tag}",
        }
        self.ill = ""
        self.did: list[str] = []

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        match [word for word in argv[1:] if not word.startswith("-")]:
            case ["get", *_]:
                return Completed(0, json.dumps({"items": [*self._maps(), *self._workloads()]}).encode(), b"")
            case ["patch", name]:
                self.data[name.partition("/")[2]].update(json.loads(stdin)["data"])
                self.did.append(f"patch {name}")
            case ["set", "image", name, image]:
                self.images[name.partition("/")[2]] = image.partition("=")[2]
                self.did.append(f"image {name}")
            case ["rollout", "restart", name]:
                self.did.append(f"restart {name}")
            case ["rollout", "status", name]:
                assert not [word for word in argv if word.startswith("--request-timeout")]
                if self.ill and self.ill in self.data["kube-proxy"]["config.conf"]:
                    raise CommandFailed("kubectl failed", status=1, where=machine, detail="0 of 5 are ready")
                self.did.append(f"status {name}")
            case _:
                raise AssertionError(argv)
        return Completed(0, b"", b"")

    def _maps(self) -> list[dict[str, Any]]:
        return [{"kind": "ConfigMap", "metadata": {"name": name}, "data": data} for name, data in self.data.items()]

    def _workloads(self) -> list[dict[str, Any]]:
        kinds = {"kube-proxy": "DaemonSet", "coredns": "Deployment"}
        return [
            {
                "kind": kinds[name],
                "metadata": {"name": name},
                "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
            }
            for name, image in self.images.items()
        ]


@pytest.fixture
def cluster(topology: Topology) -> Cluster:
    return Cluster(topology)


def edit(cluster: Cluster, place: str, key: str, change: Callable[[dict[str, Any]], object]) -> None:
    document = YAML(typ="safe", pure=True).load(cluster.data[place][key])
    change(document)
    cluster.data[place][key] = settings._text(document)


def test_nothing_is_done_where_all_is_as_it_should_be(topology: Topology, cluster: Cluster, run: Run) -> None:
    assert run(look(cluster, topology)).hold
    run(settings.bring(cluster, topology))
    assert cluster.did == []


def test_a_cluster_that_is_silent_is_asked_once(topology: Topology, run: Run) -> None:
    asked: list[str] = []

    class Silent:
        async def run(self, machine: str, *_: object, **__: object) -> Completed:
            asked.append(machine)
            raise CommandFailed("kubectl failed", status=1, where=machine, detail="EOF")

    step = next(step for step in steps(topology) if step.name == SETTINGS)
    assert step.instead is not None
    assert run(step.probe(Silent())) is False
    with pytest.raises(StepError, match="no control plane answers"):
        run(step.instead(Silent()))
    assert asked == [machine.name for machine in topology.control_planes]


def test_what_differs_is_told_and_brought_about(topology: Topology, cluster: Cluster, run: Run) -> None:
    edit(cluster, "kubeadm-config", "ClusterConfiguration", lambda found: found["apiServer"]["extraArgs"].pop())
    edit(cluster, "kube-proxy", "config.conf", lambda found: found.update(mode="iptables", clusterCIDR="theirs"))
    cluster.images["coredns"] = "elsewhere/coredns:latest"
    seen = run(look(cluster, topology))
    said, shown = words(seen), diff(seen)
    assert "kubeadm-config has other settings" in said
    assert "deployment/coredns runs elsewhere/coredns:latest" in said
    assert "kubelet-config" not in said + shown
    assert {"-mode: iptables", "+mode: nftables", "-elsewhere/coredns:latest"} <= set(shown.splitlines())
    run(settings.bring(cluster, topology))
    assert run(look(cluster, topology)).hold
    assert cluster.did[-3:] == [
        "restart daemonset/kube-proxy",
        "status daemonset/kube-proxy",
        "status deployment/coredns",
    ]
    assert "clusterCIDR: theirs" in cluster.data["kube-proxy"]["config.conf"]
    assert {data["other"] for data in cluster.data.values()} == {"kept"}


def test_kube_proxy_gets_back_what_it_was_well_with(topology: Topology, cluster: Cluster, run: Run) -> None:
    edit(cluster, "kube-proxy", "config.conf", lambda found: found.update(mode="iptables"))
    before = dict(cluster.data["kube-proxy"])
    cluster.ill = "mode: nftables"
    with pytest.raises(StepError, match="has the one from before again") as failed:
        run(settings.bring(cluster, topology))
    assert cluster.data["kube-proxy"] == before
    assert cluster.did[-1] == "restart daemonset/kube-proxy"
    assert "0 of 5 are ready" in failed.value.detail
