"""From desired states to seeds, and to the tree ``groundplane render`` writes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from groundplane.cloudinit.network import network_config
from groundplane.cloudinit.seed import Seed
from groundplane.cloudinit.user_data import manifest_file, user_data
from groundplane.cloudinit.yaml import scalar
from groundplane.state.derived import all_files
from groundplane.state.model import File, MachineState
from groundplane.topology.model import Machine, Topology

HIDDEN = b"(a secret: not shown)\n"
"""What a rendered tree holds in place of a secret file's content."""


def render_seed(topology: Topology, machine: Machine, state: MachineState) -> Seed:
    """The NoCloud seed that brings ``machine`` to ``state`` at its first boot."""
    return Seed(
        meta_data=_meta_data(topology, machine),
        user_data=user_data(topology, machine, state),
        network_config=network_config(topology, machine),
    )


def render_tree(
    topology: Topology, states: Mapping[str, MachineState], *, show_secrets: bool = False
) -> dict[str, bytes]:
    """Every file of every machine: relative path → content, ordered by path.

    ``<machine>/seed/…`` are the seed's three files, ``<machine>/root/…`` the files as they will lie on the machine.
    Without ``show_secrets`` the content of secret files is replaced by ``HIDDEN``, in the seed as well.
    """
    tree: dict[str, bytes] = {}
    for machine in topology.machines:
        state = states[machine.name]
        shown = state if show_secrets else _without_secrets(state)
        seed = render_seed(topology, machine, shown)
        tree[f"{machine.name}/seed/meta-data"] = seed.meta_data
        tree[f"{machine.name}/seed/user-data"] = seed.user_data
        tree[f"{machine.name}/seed/network-config"] = seed.network_config
        for file in (*all_files(shown), manifest_file(shown)):
            tree[f"{machine.name}/root{file.path}"] = file.content
    return dict(sorted(tree.items()))


def _without_secrets(state: MachineState) -> MachineState:
    return replace(state, files=tuple(_without_secret(file) for file in state.files))


def _without_secret(file: File) -> File:
    return replace(file, content=HIDDEN) if file.secret else file


def _meta_data(topology: Topology, machine: Machine) -> bytes:
    """The seed's ``meta-data``.

    cloud-init does a first boot once per instance-id. It stands for the machine and not for its configuration:
    when the cluster file changes, the agent brings the change, and a reboot must not play the first boot again. A
    machine made anew starts from an empty tree, which knows no instance yet.
    """
    identity = sha256(f"{topology.name}/{machine.name}/{machine.mac}".encode()).hexdigest()[:8]
    lines = [
        f"instance-id: {scalar(f'{topology.name}-{machine.name}-{identity}')}",
        f"local-hostname: {scalar(machine.name)}",
        "",
    ]
    return "\n".join(lines).encode()
