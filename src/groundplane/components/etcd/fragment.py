"""What etcd needs on a control plane beside what kubeadm lays: its user, its folder, and the program to ask it with."""

from __future__ import annotations

from typing import Final

from groundplane.components.cluster import paths
from groundplane.state.model import Artifact, DataFolder, Resource, User

USER: Final = "etcd"
ETCD_UID: Final = 379
"""Its pod can't look the name up, so the number is the same on every control plane: one that packages don't come to,
who take theirs from both ends of 100 to 999."""


def resources() -> tuple[Resource, ...]:
    return (
        User(USER, uid=ETCD_UID),
        Artifact("etcdctl", "/usr/local/bin/etcdctl"),
        DataFolder(paths.ETCD_DATA, mode=0o700, enough=paths.ETCD_ENOUGH, owner=USER, group=USER),
    )
