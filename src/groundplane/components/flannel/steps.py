"""flannel's one act: have the cluster run it, exactly as written here."""

from __future__ import annotations

from groundplane.components.base import templates
from groundplane.components.cluster import laid
from groundplane.components.cluster.api import ask, kubectl, read
from groundplane.components.cluster.names import INIT
from groundplane.components.flannel.fragment import CONFLIST
from groundplane.components.flannel.network import NAMESPACE
from groundplane.errors import StepError
from groundplane.spec.roles import Role
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Topology

NAME = "flannel"
_SERVER_SIDE = ("--server-side", "--force-conflicts", "--field-manager=groundplane", "--filename=-")
# kubectl's status is 0 where nothing differs and 1 where something does; with any other it couldn't tell.
_TOLD = '"$@" >/dev/null; status=$?; [ "$status" -le 1 ] || exit "$status"; echo "$status"'
DIFFERENCE = ("sh", "-c", _TOLD, "sh", *kubectl("diff", *_SERVER_SIDE))
_SAME = "0"
_TEMPLATES = templates(__file__)
_LAID = laid.Laid(
    name="flannel-rules",
    why="have flannel's link, routes and rules on it: pods reach each other, and the outside under its address",
    # Of each other node it lays a route, a neighbour and where that one's packets go. What the kernel forgets of these
    # when the link goes down, or somebody removes, doesn't fit the rest any more.
    look="""\
[ -n "$(ip link show up dev flannel.1 2>/dev/null)" ] || { echo "there is no link flannel.1 that is up"; exit 1; }
case $(nft list chain ip flannel-ipv4 postrtg 2>/dev/null) in
*masquerade*) ;;
*) echo "flannel's rules are gone"; exit 1 ;;
esac
{
  ip -4 neigh show dev flannel.1 nud permanent
  ip -4 route show dev flannel.1
  bridge fdb show dev flannel.1
} | awk '
$2 == "lladdr" { way[$1]++; way[$3]++ }
$2 == "via" { way[$3]-- }
$2 == "dst" { way[$1]-- }
END { for (one in way) if (way[one]) exit 1 }' ||
{ echo "flannel's ways to other nodes aren't whole"; exit 1; }
""",
    namespace=NAMESPACE,
    selector="k8s-app=flannel",
)


def manifest(topology: Topology) -> bytes:
    """flannel's objects. Addresses come from the cluster file, the image from the software bundle."""
    return (
        _TEMPLATES.get_template("flannel.yaml.j2")
        .render(
            pods=topology.spec.kubernetes.pods,
            image=topology.software.flannel_image,
            conflist=CONFLIST,
            by_address=any(node.has(Role.BALANCER) for node in topology.nodes),
            interfaces=dict.fromkeys(machine.interface for machine in topology.nodes),
        )
        .encode()
    )


def steps(topology: Topology) -> tuple[Step, ...]:
    wanted = manifest(topology)

    async def probe(reach: Reach) -> bool:
        """Whether the API server would change nothing: a dry run compares with what really is there."""
        try:
            answer = await read(reach, topology, DIFFERENCE, stdin=wanted, attempts=1)
        except StepError:
            return False
        return answer.text == _SAME

    async def act(reach: Reach) -> None:
        await ask(reach, topology, kubectl("apply", *_SERVER_SIDE), stdin=wanted, timeout=60)

    return (
        Step(
            name=NAME,
            machine="platform",
            why="give pods a network: flannel's VXLAN over the LAN",
            probe=probe,
            act=act,
            needs=(INIT,),
            deadline=180,
        ),
        *(laid.step(topology, machine, _LAID, NAME) for machine in topology.nodes),
    )
