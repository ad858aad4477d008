"""Where the story of a failure is written, and the lines that tell how far it is."""

from __future__ import annotations

from typing import Final

from groundplane.components.corosync.fragment import QDEVICE_UNIT
from groundplane.components.corosync.fragment import UNIT as COROSYNC
from groundplane.components.haproxy.fragment import UNIT as HAPROXY
from groundplane.components.pacemaker.fragment import LEASE_UNIT
from groundplane.components.pacemaker.fragment import UNIT as PACEMAKER
from groundplane.components.pacemaker.status import ADDRESS_RESOURCE
from groundplane.components.qnetd.fragment import UNIT as QNETD
from groundplane.drill.model import Sign

BALANCER_UNITS: Final = (
    COROSYNC,
    QDEVICE_UNIT,
    PACEMAKER,
    LEASE_UNIT,
    HAPROXY,
    QNETD,
)
NODE_UNITS: Final = (HAPROXY, "kubelet.service")

MEMBERSHIP: Final = (
    Sign("Corosync misses a token", "corosync", r"Token has not been received|token timed out|link: \d+ is down", True),
    Sign("Corosync agrees on who is left", "corosync", r"A new membership"),
    Sign("the vote is given", "corosync", r"Members\[\d\]"),
    Sign("the address is taken beforehand", LEASE_UNIT.removesuffix(".service"), r"the address is taken"),
    Sign("Pacemaker decides", "pacemaker-controld", r"State transition .*S_POLICY_ENGINE"),
    Sign("the address is being started", "pacemaker-controld", rf"(Initiating|Requesting) .*{ADDRESS_RESOURCE}"),
    Sign("the address is started", "pacemaker-controld", rf"Result of start operation for {ADDRESS_RESOURCE}"),
)
SERVERS: Final = (Sign("HAProxy calls an API server down", "haproxy", r"Server \S+ is DOWN", True),)
HAPROXY_GONE: Final = (
    Sign("Pacemaker misses HAProxy", "pacemaker-controld", r"haproxy_monitor|monitor .*haproxy", True),
    *MEMBERSHIP[4:],
)
