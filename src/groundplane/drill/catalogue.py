"""Every drill. To add one: a function in ``acts.py`` that breaks something through the Scene, and its entry here."""

from __future__ import annotations

from typing import Final

from groundplane.drill import acts
from groundplane.drill.model import Drill, Need, Promise, Refused
from groundplane.drill.signs import BALANCER_UNITS, HAPROXY_GONE, MEMBERSHIP, NODE_UNITS, SERVERS
from groundplane.errors import MachineError, UsageError
from groundplane.spec.roles import Role
from groundplane.topology.model import Topology

ALL: Final = "all"
"""What is said instead of a name to have every drill done."""

DRILLS: Final = (
    Drill(
        name="balancer-drain",
        title="The floating address is moved to another balancer, as before maintenance",
        risk="none to speak of: the address moves once",
        promise=Promise(gap=0.2, may_fail=False),
        inject=acts.balancer_drain,
        needs=(Need.STANDBY,),
        hold=3,
        units=BALANCER_UNITS,
        signs=MEMBERSHIP,
    ),
    Drill(
        name="balancer-crash",
        title="The balancer with the floating address loses its power",
        risk="the API is away for about a second; open connections are cut",
        promise=Promise(gap=2),
        inject=acts.balancer_crash,
        needs=(Need.STANDBY,),
        units=BALANCER_UNITS,
        signs=MEMBERSHIP,
    ),
    Drill(
        name="balancer-hang",
        title="Every process of the balancer with the floating address stands still, its kernel goes on",
        risk="the API is away for about two seconds; open connections are cut",
        promise=Promise(gap=4),
        inject=acts.balancer_hang,
        needs=(Need.STANDBY,),
        hold=6,
        units=BALANCER_UNITS,
        signs=MEMBERSHIP,
    ),
    Drill(
        name="balancer-partition-peer",
        title="The balancer with the floating address is cut off from another one, and from nobody else",
        risk="the address may move: the API is away for about two seconds then",
        promise=Promise(gap=4),
        inject=acts.balancer_partition_peer,
        needs=(Need.STANDBY,),
        hold=8,
        units=BALANCER_UNITS,
        signs=MEMBERSHIP,
    ),
    Drill(
        name="balancer-partition-vote",
        title="The balancer with the floating address is cut off from the gateway's vote",
        risk="none to speak of: the two balancers are a majority without it",
        promise=Promise(gap=0.5),
        inject=acts.balancer_partition_vote,
        needs=(Need.VOTE,),
        hold=8,
        units=BALANCER_UNITS,
        signs=MEMBERSHIP,
    ),
    Drill(
        name="balancer-partition-all",
        title="The balancer with the floating address is cut off from everybody",
        risk="the API is away for about a second; open connections are cut",
        promise=Promise(gap=4),
        inject=acts.balancer_partition_all,
        needs=(Need.STANDBY,),
        hold=8,
        units=BALANCER_UNITS,
        signs=MEMBERSHIP,
    ),
    Drill(
        name="haproxy-crash",
        title="HAProxy is killed on the balancer with the floating address",
        risk="the API is away for about two seconds; open connections are cut",
        promise=Promise(gap=4),
        inject=acts.haproxy_crash,
        needs=(Need.STANDBY,),
        hold=3,
        units=BALANCER_UNITS,
        signs=HAPROXY_GONE,
    ),
    Drill(
        name="haproxy-bad-config",
        title="An apply brings the balancers a configuration that HAProxy can't read",
        risk="none to speak of: it is refused before it reaches a machine",
        promise=Promise(gap=0.2, may_fail=False),
        inject=acts.haproxy_bad_config,
        hold=3,
        units=BALANCER_UNITS,
        during=acts.keeping_haproxys_config,
    ),
    Drill(
        name="api-server-kill",
        title="The API server of one control plane is killed",
        risk="requests to it fail; the kubelet starts it again",
        promise=Promise(gap=1, pods=30),
        inject=acts.api_server_kill,
        needs=(Need.MAJORITY,),
        hold=3,
        units=NODE_UNITS,
        signs=SERVERS,
    ),
    Drill(
        name="etcd-leader-kill",
        title="etcd is killed on the control plane that leads it",
        risk="the API can't write until another one leads, for about two seconds",
        promise=Promise(gap=4, pods=30),
        inject=acts.etcd_leader_kill,
        needs=(Need.MAJORITY,),
        hold=3,
        units=NODE_UNITS,
        signs=SERVERS,
    ),
    Drill(
        name="control-plane-crash",
        title="The control plane that leads etcd loses its power",
        risk="the API can't write until another one leads, for about two seconds",
        promise=Promise(gap=4),
        inject=acts.control_plane_crash,
        needs=(Need.MAJORITY,),
        hold=3,
        units=NODE_UNITS,
        signs=SERVERS,
    ),
    Drill(
        name="control-plane-partition",
        title="The control plane that leads etcd is cut off from everybody",
        risk="the API can't write until another one leads, for about two seconds",
        promise=Promise(gap=4),
        inject=acts.control_plane_partition,
        needs=(Need.MAJORITY,),
        hold=10,
        units=NODE_UNITS,
        signs=SERVERS,
    ),
    Drill(
        name="worker-crash",
        title="A worker loses its power",
        risk="its pods are away until it is back",
        promise=Promise(gap=0.5, may_fail=False),
        inject=acts.worker_crash,
        needs=(Need.WORKER,),
        hold=5,
        units=NODE_UNITS,
    ),
    Drill(
        name="gateway-crash",
        title="The gateway loses its power: nobody gives out addresses, names, images, time, or the third vote",
        risk="no new pod can pull an image while it is off; addresses stay, however long that is",
        promise=Promise(gap=0.5, may_fail=False),
        inject=acts.gateway_crash,
        needs=(Need.GATEWAY,),
        hold=10,
        units=BALANCER_UNITS,
        during=acts.outliving_the_gateway,
    ),
    Drill(
        name="disk-full",
        title="The disk that etcd writes to is full on one control plane",
        risk="that control plane's etcd stops; the other two go on",
        promise=Promise(gap=4, pods=45),
        inject=acts.disk_full,
        needs=(Need.MAJORITY, Need.DISK),
        hold=20,
        units=NODE_UNITS,
        signs=SERVERS,
    ),
    Drill(
        name="clock-jump",
        title="The clock of one control plane jumps ahead",
        risk="what looks at its clock for five minutes, as logs and leases",
        promise=Promise(gap=1),
        inject=acts.clock_jump,
        needs=(Need.MAJORITY, Need.CLOCK),
        hold=5,
        units=("chrony.service", *NODE_UNITS),
    ),
    Drill(
        name="scale",
        title="A control plane and two workers are added, and taken away again",
        risk="none to speak of; it takes some minutes, and memory for three machines more",
        promise=Promise(gap=1, may_fail=False),
        inject=acts.scale,
        needs=(Need.MAJORITY,),
        units=NODE_UNITS,
        during=acts.being_more,
    ),
    Drill(
        name="machine-lost-worker",
        title="A worker is gone for good, and made anew",
        risk="its pods are away until another one is in its place; what they kept on its disk is lost",
        promise=Promise(gap=1, may_fail=False),
        inject=acts.worker_lost,
        needs=(Need.WORKER,),
        units=NODE_UNITS,
    ),
    Drill(
        name="machine-lost-balancer",
        title="The balancer with the floating address is gone for good, and made anew",
        risk="the API is away for about a second; nobody could take over until another one is in its place",
        promise=Promise(gap=4),
        inject=acts.balancer_lost,
        needs=(Need.STANDBY,),
        units=BALANCER_UNITS,
        signs=MEMBERSHIP,
    ),
    Drill(
        name="machine-lost-control-plane",
        title="The control plane that leads etcd is gone for good, and made anew",
        risk="the API can't write for about two seconds; losing another one meanwhile would stop it",
        promise=Promise(gap=4),
        inject=acts.control_plane_lost,
        needs=(Need.MAJORITY,),
        units=NODE_UNITS,
        signs=SERVERS,
    ),
    Drill(
        name="machine-lost-gateway",
        title="The gateway is gone for good, and made anew",
        risk="no new pod can pull an image until another one is in its place",
        promise=Promise(gap=1, may_fail=False),
        inject=acts.gateway_lost,
        needs=(Need.GATEWAY,),
        units=BALANCER_UNITS,
    ),
    Drill(
        name="everything-off",
        title="All machines lose their power at once, and get it back",
        risk="the platform is away until all have started, for a minute or two",
        promise=Promise(gap=180),
        inject=acts.everything_off,
        outage=True,
        units=BALANCER_UNITS,
    ),
)
"""In the order ``drill all`` does them: the mildest of each kind first, the most violent last."""


def drill_named(name: str) -> Drill:
    """The drill of that name; UsageError naming those that begin so where there is none, else all of them."""
    for drill in DRILLS:
        if drill.name == name:
            return drill
    names = [drill.name for drill in DRILLS]
    alike = [one for one in names if one.startswith(name)]
    raise UsageError(f"there is no drill {name}", hint=f"there are: {', '.join(alike or names)}")


def lacking(drill: Drill, topology: Topology) -> str:
    """Why the drill can't be done on this platform; empty where it can."""
    has = {
        Need.STANDBY: len(topology.balancers) > 1,
        Need.MAJORITY: len(topology.control_planes) > 2,
        Need.VOTE: topology.third_vote,
        Need.WORKER: any(machine.roles == (Role.WORKER,) for machine in topology.machines),
        Need.GATEWAY: topology.gateway.roles == (Role.GATEWAY,),
        Need.CLOCK: topology.traits.own_clock,
        Need.DISK: topology.traits.own_disk,
    }
    needs = [need.value for need in drill.needs if not has[need]]
    return f"it needs {' and '.join(needs)}" if needs else ""


def chosen(name: str, topology: Topology) -> tuple[tuple[Drill, ...], tuple[Refused, ...]]:
    """The drill of that name, or for ``all`` those that can be done on this platform and those that can't.

    Raises MachineError where the one that was named can't be done.
    """
    if name == ALL:
        refused = tuple(Refused(drill.name, reason) for drill in DRILLS if (reason := lacking(drill, topology)))
        return tuple(drill for drill in DRILLS if not lacking(drill, topology)), refused
    drill = drill_named(name)
    if reason := lacking(drill, topology):
        raise MachineError(
            f"the drill {drill.name} can't be done here: {reason}",
            where=topology.name,
            hint="`groundplane drill list` shows what each drill needs",
        )
    return (drill,), ()
