"""What a control plane is told of its certificates, and of the machines whose kubelets it may speak for."""

from __future__ import annotations

import json
from collections.abc import Mapping

from groundplane.components.cluster.api import api_server
from groundplane.components.kubeadm.config import api_names
from groundplane.components.kubelet.serving import names_of
from groundplane.topology.model import KeyPair, Machine, Topology


def certificates(topology: Topology, machine: Machine) -> bytes:
    """What ``remote/renew.py`` is told on the machine, as JSON."""
    return _json(_certificates(topology, machine))


def certificates_by(topology: Topology, machine: Machine, *, keys: bool = False) -> bytes:
    """The same, to be judged by the authorities as they are remembered here, whatever lies on the machine. With
    ``keys`` those are told as well: only for standard input."""
    authorities = _authorities(topology)
    told = {"authorities": {name: pair.certificate.decode() for name, pair in authorities.items()}}
    if keys:
        told["keys"] = {name: pair.key.text() for name, pair in authorities.items()}
    return _json({**_certificates(topology, machine), **told})


def nodes(topology: Topology) -> bytes:
    """What each node may call itself, as JSON."""
    return _json({node.name: names_of(node) for node in topology.nodes})


def _json(content: object) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"


def _certificates(topology: Topology, machine: Machine) -> dict[str, object]:
    names = {"apiserver": _api_names(topology, machine), "etcd": _etcd_names(machine)}
    return {"api": api_server(topology, machine), "names": names}


def _authorities(topology: Topology) -> Mapping[str, KeyPair]:
    """By what kubeadm calls them."""
    secrets = topology.secrets
    return {"ca": secrets.kubernetes_ca, "front-proxy-ca": secrets.front_proxy_ca, "etcd/ca": secrets.etcd_ca}


def _api_names(topology: Topology, machine: Machine) -> list[str]:
    """What a client may know the machine's API server by; in the cluster it is the first Service."""
    inside = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    service = topology.spec.kubernetes.services[1]
    return [*api_names(topology), *inside, str(service), machine.name, str(machine.address)]


def _etcd_names(machine: Machine) -> list[str]:
    return [machine.name, "localhost", str(machine.address), "127.0.0.1", "::1"]
