"""What containerd adds to a node: its program, configuration, registry mirrors and unit.

Kubernetes 1.37 needs containerd 2, which Debian doesn't carry yet: program and shim are the bundle's, runc is Debian's.
"""

from __future__ import annotations

from functools import cache

from groundplane.components.base import templates
from groundplane.components.system.fragment import PLATFORM_CA
from groundplane.state.model import Artifact, DataFolder, Directory, File, Fragment, Package, Resource, Sysctl, Unit
from groundplane.topology.model import Machine, Topology

BINARY = "/usr/local/bin/containerd"
CONFIG = "/etc/containerd/config.toml"
MIRRORS = "/etc/containerd/certs.d"
UNIT = "/etc/systemd/system/containerd.service"
DATA = "/var/lib/containerd"
SOCKET = "unix:///run/containerd/containerd.sock"

_MODULES = "/etc/modules-load.d/containerd.conf"
_TEMPLATES = templates(__file__)


def fragment(topology: Topology, machine: Machine) -> Fragment | None:
    """containerd for every Kubernetes node."""
    if not machine.is_node:
        return None
    resources: list[Resource] = [
        Artifact("containerd", BINARY),
        Artifact("containerd-shim-runc-v2", "/usr/local/bin/containerd-shim-runc-v2"),
        Artifact("ctr", "/usr/local/bin/ctr"),
        Package("runc"),
        DataFolder(DATA, mode=0o700),
        Directory("/etc/cni/net.d"),
        File(CONFIG, _render("config.toml.j2", topology)),
        File(UNIT, _render("containerd.service.j2", topology)),
        # Routing between pods and the LAN. One namespace of the network each, so always ours to write.
        Sysctl("net.ipv4.ip_forward", "1"),
        Unit("containerd.service", reads=(BINARY, CONFIG, UNIT)),
        *_mirrors(topology),
    ]
    if topology.traits.own_kernel:
        # A container's kernel has these already or never will: loading modules isn't its to do.
        resources += [
            File(_MODULES, b"overlay\nbr_netfilter\n"),
            Sysctl("net.bridge.bridge-nf-call-iptables", "1"),
        ]
    return Fragment("containerd", tuple(resources))


def mirrored_hosts(topology: Topology) -> tuple[str, ...]:
    """The registries whose images the gateway's registry serves, each under a folder of the registry's name."""
    hosts = {reference.partition("/")[0] for reference in topology.software.images}
    return tuple(sorted(hosts | {"docker.io"}))


def _mirrors(topology: Topology) -> tuple[Resource, ...]:
    """One hosts.toml per registry.

    ``override_path`` because the mirror's path already holds /v2 and the registry's folder. An air-gapped
    platform names the mirror as the registry itself, or containerd would go on to the real one and a missing
    image would be a timeout instead of an answer; every other registry then ends at ours, which has no such image.
    With an uplink ours is asked first, and what it lacks comes from where it always came.
    """
    base = f"https://{topology.registry_host}/v2"
    urls = {host: f"{base}/{host}" for host in mirrored_hosts(topology)}
    if topology.spec.network.uplink is None:
        sealed = {**urls, "_default": base}
        files = [_hosts_file(directory, server=url) for directory, url in sorted(sealed.items())]
    else:
        files = [_hosts_file(directory, mirror=url) for directory, url in sorted(urls.items())]
    return (*files, _hosts_file(topology.registry_host, server=base))


@cache  # the same on every node
def _hosts_file(directory: str, *, server: str = "", mirror: str = "") -> File:
    text = _TEMPLATES.get_template("hosts.toml.j2").render(mirror=mirror, server=server, ca=PLATFORM_CA)
    return File(f"{MIRRORS}/{directory}/hosts.toml", text.encode())


def _render(name: str, topology: Topology) -> bytes:
    return (
        _TEMPLATES.get_template(name)
        .render(traits=topology.traits, software=topology.software, data=DATA, mirrors=MIRRORS)
        .encode()
    )
