"""What it means to change a key of the cluster file while its platform stands: one table for code, users and docs.

Every key that holds a value has its row. ``edits`` judges by them, ``groundplane explain`` shows them, and the table in
``docs/operating.md`` is made of them. A key added to ``model`` needs a row here; the tests walk the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from groundplane.spec.roles import Role


class Transition(StrEnum):
    """How a platform that stands gets from one value to another."""

    LIVE = "live"
    ROLLING = "rolling"
    MACHINES_ADDED = "machines added"
    MACHINES_REMOVED = "machines removed"
    REBUILT = "rebuilt one by one"
    NEVER = "never"


MEANING: Final[Mapping[Transition, str]] = {
    Transition.LIVE: "taken up at once, without a pause of what serves",
    Transition.ROLLING: "brought to one machine after the other, while the others serve",
    Transition.MACHINES_ADDED: "new machines are made and join; those that are there stay as they are",
    Transition.MACHINES_REMOVED: "machines leave the cluster in order, then they are gone with their data",
    Transition.REBUILT: "a machine gets it when it is made anew; the others go on as they are",
    Transition.NEVER: "refused, with the reason and what to do instead",
}
"""Each of them, for people."""

CARRIED_OUT: Final = frozenset(set(Transition) - {Transition.NEVER})
"""Those that this groundplane can carry out; a change of another kind is refused."""


class When(StrEnum):
    """What happened to a value: there was none before, there is another one, there is none any more."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"

    @classmethod
    def of(cls, old: str, new: str) -> When:
        """``""`` stands for none."""
        return cls.CHANGED if old and new else cls.ADDED if new else cls.REMOVED


@dataclass(frozen=True, slots=True)
class Way:
    """``effect``: what happens, or why it can't. ``instead``: what to do where it can't; ``{old}`` in it stands for the
    value the platform has."""

    transition: Transition
    effect: str
    instead: str = ""


Row = Mapping[When, Way]
"""A key's ways; what can't happen to a key has none."""


def way(path: str, old: str, new: str) -> Way:
    """What the change from ``old`` to ``new`` of the key at ``path`` (written as ``Key.path``) means."""
    return TABLE[path][When.of(old, new)]


def possible(path: str, old: str, new: str) -> bool:
    """Whether a platform that stands can get from ``old`` to ``new`` of the key at ``path``, or of the whole stanza."""
    rows = [row for key, row in TABLE.items() if key == path or key.startswith(f"{path}.")]
    return all(found.transition in CARRIED_OUT for row in rows for found in _ways(row, When.of(old, new)))


def _ways(row: Row, when: When) -> Iterable[Way]:
    """Of a count, which a row knows as machines that come and go, both."""
    return [row[when]] if when in row else row.values()


def _always(transition: Transition, effect: str, instead: str = "") -> Row:
    return dict.fromkeys(When, Way(transition, effect, instead))


def _never(reason: str, instead: str = "") -> Row:
    return _always(Transition.NEVER, reason, instead or _ANEW)


_ANEW: Final = "take it back, or build another platform beside this one, from a file with another `name`"
_RENAMED: Final = (
    "give the machine another name in the same edit, with an address and a card that none has: that one comes, and the"
    " one of the old name leaves (machines that are only counted have no entries: list them). A balancer comes by one"
    " `apply` and goes by another; the gateway, and balancers beside a gateway that is one, stay what they are"
)
"""For a while both are there. A change of two balancers at once is refused, and so is a file in which the gateway is
one of two."""
_AS_WHAT: Final = "what a machine holds, such as a member of etcd or a vote, it holds as what it was made"

_JOINS: Final = Way(
    Transition.MACHINES_ADDED,
    "they are made as the file says now, and join; etcd takes its members one after the other",
)
_LEAVES: Final = Way(
    Transition.MACHINES_REMOVED,
    "drained, taken out of etcd and the balancers, then removed for good; a lower count takes the highest numbers",
)
_COUNT: Final[Row] = {When.ADDED: _JOINS, When.REMOVED: _LEAVES}
_ONE_GATEWAY: Final = Way(
    Transition.NEVER,
    "a platform has one gateway, and the other machines know the registry and the vote by its name",
    "leave the gateway's entry its name",
)
_UPLINK: Final = _always(
    Transition.ROLLING,
    "the gateway's outer card and packet filter take it up; where there was no uplink, or is none any more, nodes and"
    " API servers learn where images may come from",
)
_POOL: Final = _always(Transition.LIVE, "the gateway's DHCP server takes it up; who has an address keeps it")
_SIZE: Final = _always(
    Transition.LIVE,
    "the machine's limits are set anew while it runs; a node's kubelet begins anew and tells Kubernetes of it",
)
_IMAGE: Final = _always(
    Transition.REBUILT, "a base image is made for it, and a machine that is made anew starts from that"
)

TABLE: Final[Mapping[str, Row]] = {
    "name": _never("another name is another platform: machines, cards and folders are called by it"),
    "provider": _never("machines can't move from one ground to another"),
    "network.lan": _never("every machine's address is from it, and addresses are in certificates and in etcd"),
    "network.domain": _never("it is in every machine's full name, and these are in certificates"),
    "network.floating-address": _never(
        "it is in the API servers' certificates and in every kubeconfig",
        "keep it: state `floating-address: {old}` in `network`",
    ),
    "network.dhcp-pool.first": _POOL,
    "network.dhcp-pool.last": _POOL,
    "network.ipv6": {
        **_never("machines would go on using addresses of the old range until they expire, half a day later"),
        When.ADDED: Way(Transition.ROLLING, "the gateway advertises it, and each machine gives itself an address"),
    },
    "network.uplink.address": _UPLINK,
    "network.uplink.router": _UPLINK,
    "network.uplink.nameservers": _always(Transition.LIVE, "the gateway's DNS server asks these from then on"),
    "image.distribution": _IMAGE,
    "image.release": _IMAGE,
    "image.mirror": _IMAGE,
    "balancers.standby": _always(
        Transition.ROLLING, "Pacemaker starts HAProxy on the balancer that waits, or stops it there"
    ),
    "balancers.accept-single-point-of-failure": _always(Transition.LIVE, "no machine is touched"),
    "kubernetes.version": _never(
        "this groundplane can't yet upgrade a platform", "keep `version: {old}` until it can, or build another platform"
    ),
    "kubernetes.pods": _never("every node has its share of it from when it joined, and pods have addresses from it"),
    "kubernetes.services": _never(
        "Services have addresses from it, and one of them is in the API servers' certificates"
    ),
    "machines.gateway": {When.ADDED: _ONE_GATEWAY, When.REMOVED: _ONE_GATEWAY},
    "machines.balancer": _COUNT,
    "machines.control-plane": _COUNT,
    "machines.worker": _COUNT,
    "machines[].name": _COUNT,
    "machines[].role": _never(_AS_WHAT, _RENAMED),
    "machines[].roles": _never(_AS_WHAT, _RENAMED),
    "machines[].mac": _never(
        "the gateway knows the machine by its card", f"state `mac: {{old}}` in its entry, or {_RENAMED}"
    ),
    "machines[].address": _never(
        "it is in certificates, in etcd and in the balancers' configuration",
        f"state `address: {{old}}` in its entry, or {_RENAMED}",
    ),
    "machines[].size.cpus": _SIZE,
    "machines[].size.memory": _SIZE,
    **{f"sizes.{role}.{what}": _SIZE for role in Role for what in ("cpus", "memory")},
}
"""By ``Key.path``: every key that holds a value."""
