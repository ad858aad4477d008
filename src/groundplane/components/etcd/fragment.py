"""What etcd needs on a control plane beside what kubeadm lays: its folder, and the program to ask it with."""

from __future__ import annotations

from groundplane.components.cluster import paths
from groundplane.state.model import Artifact, DataFolder, Resource


def resources() -> tuple[Resource, ...]:
    return (
        Artifact("etcdctl", "/usr/local/bin/etcdctl"),
        DataFolder(paths.ETCD_DATA, mode=0o700, enough=paths.ETCD_ENOUGH),
    )
