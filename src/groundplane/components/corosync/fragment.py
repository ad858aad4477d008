"""What Corosync adds to a balancer: its configuration, the cluster's own key, and the client of the third vote.

Membership is encrypted and authenticated under a key of this cluster alone. With two balancers the gateway's vote makes
three, so neither wins by itself and quorum is never ignored; ``two_node`` would do just that and is not used. A lone
balancer is its own majority, and of three any two are: they ask nobody, but have all it takes to ask, for others may
come and go. Where there are three or more, two that have lost each other would keep the others from agreeing:
``middle.py`` runs there.
"""

from __future__ import annotations

import re
from pathlib import Path

from groundplane.components.base import templates
from groundplane.components.corosync import timing
from groundplane.components.corosync.numbers import numbers
from groundplane.components.qnetd import nss
from groundplane.spec.roles import Role
from groundplane.state.model import File, Fragment, Package, Resource, Unit
from groundplane.topology.model import Machine, Topology

CONFIG = "/etc/corosync/corosync.conf"
KEY = "/etc/corosync/authkey"
PEM_FOLDER = "/etc/groundplane/qdevice"
UNIT = "corosync.service"
QDEVICE_UNIT = "corosync-qdevice.service"
MIDDLE_PROGRAM = "/usr/lib/groundplane/middle.py"
MIDDLE_UNIT = "groundplane-middle.service"
_FIXED = ("version", "cluster_name", "transport", "ip_version", "provider", "sched_rr")
"""What of its configuration Corosync reads only when it starts (its own list: ``remove_ro_entries`` in exec/cfg.c)."""


def node_id(topology: Topology, machine: Machine) -> int:
    """Corosync's number of a balancer, from 1."""
    names = [balancer.name for balancer in topology.balancers]
    return numbers(names, topology.balancer_numbers)[machine.name]


def fixed(config: str) -> tuple[str, ...]:
    """The settings of ``config`` that a reload doesn't take up, as they stand there."""
    keys = "|".join(_FIXED)
    return tuple(match[1] for match in re.finditer(rf"^ *((?:{keys}): .+)$", config, re.MULTILINE))


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    """Return what Corosync adds to ``machine``, None for anything but a balancer."""
    if not machine.has(Role.BALANCER):
        return None
    environment = templates(__file__)
    config = environment.get_template("corosync.conf.j2").render(
        topology=topology,
        nodes=[(node_id(topology, balancer), balancer) for balancer in topology.balancers],
        timing=timing,
        with_vote=topology.third_vote,
    )
    drop_in = environment.get_template("corosync.service.conf.j2").render(fixed=fixed(config))
    drop_in_path = f"/etc/systemd/system/{UNIT}.d/groundplane.conf"
    return Fragment(
        component="corosync",
        resources=(
            Package("corosync"),
            File(CONFIG, config.encode()),
            File(KEY, topology.secrets.corosync_key.reveal(), mode=0o400, secret=True),
            File(drop_in_path, drop_in.encode()),
            # Members come and go, and its clocks change, while it runs; the drop-in tells of what must not.
            Unit(UNIT, reads=(CONFIG, KEY, drop_in_path), reloads=True, restarts=(KEY, drop_in_path)),
            *_vote(topology),
            *_middle(topology, machine),
        ),
    )


def _middle(topology: Topology, machine: Machine) -> tuple[Resource, ...]:
    """What leaves one of two out that have lost each other. Nobody is between two balancers: the vote decides there."""
    if len(topology.balancers) < 3:
        return ()
    unit = (
        templates(__file__)
        .get_template("middle.service.j2")
        .render(
            program=MIDDLE_PROGRAM,
            name=MIDDLE_UNIT.removesuffix(".service"),
            port=timing.PORT,
            peers=[
                f"{node_id(topology, balancer)},{balancer.name},{balancer.address}"
                for balancer in topology.balancers
                if balancer != machine
            ],
        )
    )
    unit_path = f"/etc/systemd/system/{MIDDLE_UNIT}"
    return (
        Package("nftables"),
        Package("python3"),
        File(MIDDLE_PROGRAM, Path(__file__).with_name("middle.py").read_bytes(), mode=0o755),
        File(unit_path, unit.encode()),
        Unit(MIDDLE_UNIT, reads=(MIDDLE_PROGRAM, unit_path)),
    )


def _vote(topology: Topology) -> tuple[Resource, ...]:
    environment = templates(__file__)
    drop_in = environment.get_template("corosync-qdevice.service.conf.j2").render(
        script=nss.SCRIPT, folder=PEM_FOLDER, nickname=nss.CLIENT_NICKNAME, config=CONFIG
    )
    options = environment.get_template("corosync-qdevice.default.j2").render(
        server_name=nss.server_name(topology.secrets.qnetd)
    )
    drop_in_path = f"/etc/systemd/system/{QDEVICE_UNIT}.d/groundplane.conf"
    options_path = "/etc/default/corosync-qdevice"
    return (
        Package("corosync-qdevice"),
        Package("libnss3-tools"),
        Package("openssl"),
        nss.script(),
        *nss.pem_files(PEM_FOLDER, topology.secrets.platform_ca, topology.secrets.qdevice),
        File(drop_in_path, drop_in.encode()),
        File(options_path, options.encode()),
        # Where the other balancer has left, it ends only after Corosync knows that it needs no vote: see steps.py.
        Unit(QDEVICE_UNIT, reads=(CONFIG, PEM_FOLDER, drop_in_path, options_path))
        if topology.third_vote
        else Unit(QDEVICE_UNIT, enabled=False, active=None),
    )
