"""How we know that etcd is well: its members are of one mind."""

from __future__ import annotations

from groundplane.components.cluster.answers import bound
from groundplane.components.etcd.alarms import remedy
from groundplane.components.etcd.members import dismissal, stranger
from groundplane.components.etcd.views import View, disagreement, views
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet


def checks(topology: Topology) -> tuple[Check, ...]:
    return (
        Check(
            "etcd",
            "every etcd member is healthy, votes and agrees with the others",
            RECOVERY,
            "`groundplane status` shows the members; see /var/log/pods/kube-system_etcd-* on the one that differs",
            bound(_agreed, topology),
        ),
    )


async def _agreed(reach: Reach, topology: Topology) -> str:
    seen = await views(reach, topology)
    problem = disagreement(seen)
    if problem:
        there = [view for view in seen if isinstance(view, View)]
        odd = next(((one, view.machine) for view in there if (one := stranger(view.members, topology))), None)
        known = remedy([error for view in there for error in view.errors])
        raise NotYet(problem, remedy=known or (dismissal(*odd) if odd else ""))
    return f"{len(seen)} of {len(seen)} members healthy and of one mind"
