"""What `status` shows of etcd."""

from __future__ import annotations

from dataclasses import dataclass

from groundplane.components.etcd.alarms import remedy
from groundplane.components.etcd.views import Silent, View


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """One control plane's etcd. ``problem`` is empty when it is well, ``remedy`` what to do about it where that follows
    from it; ``size`` in bytes."""

    machine: str
    leader: bool = False
    learner: bool = False
    size: int = 0
    problem: str = ""
    version: str = ""
    remedy: str = ""


def member(view: View | Silent) -> EtcdMember:
    """What is shown of the member that has this view, or has none."""
    if isinstance(view, Silent):
        return EtcdMember(view.machine, problem=view.reason)
    return EtcdMember(
        view.machine,
        leader=view.leader == view.id,
        learner=view.learner,
        size=view.size,
        problem=", ".join(view.errors)
        or ("doesn't vote yet" if view.learner else "" if view.leader else "knows no leader"),
        version=view.version,
        remedy=remedy(view.errors),
    )
