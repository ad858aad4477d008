"""Who a machine is, kept in its own folder from its birth to its end: it may outlive the file that it was made from."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

from groundplane.machines.base import Identity
from groundplane.spec.roles import Role
from groundplane.store.files import read_private, write_private
from groundplane.topology.model import Machine


def identity_of(machine: Machine) -> Identity:
    return Identity(machine.name, machine.roles, machine.mac, machine.address)


def write_identity(path: Path, identity: Identity) -> None:
    content = {
        "name": identity.name,
        "roles": [role.value for role in identity.roles],
        "mac": identity.mac,
        "address": str(identity.address),
    }
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")


def read_identity(path: Path) -> Identity | None:
    """None where there is none, or one that ``write_identity`` didn't write: the machine can still be found, stopped
    and removed by its name."""
    if not path.is_file() or (content := read_private(path)) is None:  # not even a folder may be there
        return None
    try:
        read = json.loads(content)
        roles = tuple(Role(role) for role in read["roles"])
        return Identity(str(read["name"]), roles, str(read["mac"]), IPv4Address(read["address"]))
    except (ValueError, TypeError, KeyError):
        return None
