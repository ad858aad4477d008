"""What we render, read by the programs it is for: each with the option that checks its configuration and ends.

``pytest -m lab tests/golden`` runs these, as root, with what ``groundplane up`` has put into the cache for the shipped
example: its image and its bundle. Other runs skip them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

import pytest

from groundplane.cloudinit import render_seed
from groundplane.design import design
from groundplane.state import File
from groundplane.topology import Topology
from tests.golden.chroot import Ground
from tests.golden.laid_out import cases, hostile

pytestmark = pytest.mark.lab

CASES = {**cases(), "hostile": hostile()}
SEED = "/var/lib/cloud/seed/nocloud"

Argv = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that checks files: it is run on every machine that has a file of ``pattern``, once for each."""

    name: str
    pattern: str
    argv: Argv


TOOLS = (
    Tool("user-data", f"{SEED}/user-data", lambda path: ["cloud-init", "schema", "-c", path]),
    Tool(
        "network-config",
        f"{SEED}/network-config",
        lambda path: ["cloud-init", "schema", "--schema-type", "network-config", "-c", path],
    ),
    Tool("dnsmasq", "/etc/dnsmasq.d/*.conf", lambda path: ["dnsmasq", "--test", "-C", path]),
    Tool("nft", "/etc/nftables.conf", lambda path: ["nft", "--check", "--file", path]),
    Tool("chronyd", "/etc/chrony/chrony.conf", lambda path: ["chronyd", "-p", "-f", path]),
    Tool("haproxy", "/etc/haproxy/haproxy.cfg", lambda path: ["haproxy", "-c", "-f", path]),
    Tool("corosync", "/etc/corosync/corosync.conf", lambda path: ["corosync", "-t", "-c", path]),
    Tool("crm_verify", "/var/lib/pacemaker/cib/cib.xml", lambda path: ["crm_verify", "-V", "--xml-file", path]),
    Tool("kubeadm", "/etc/groundplane/kubeadm/*.yaml", lambda path: ["sh", "-c", _VALIDATE, "sh", path]),
    Tool("patches", "/etc/groundplane/kubeadm/patches/*", lambda path: ["sh", "-c", _PATCH, "sh", Path(path).name]),
    Tool("containerd", "/etc/containerd/config.toml", lambda path: ["containerd", "--config", path, "config", "dump"]),
    Tool("units", "/etc/systemd/system/*.service", lambda path: ["systemd-analyze", "verify", "--man=no", path]),
    Tool("drop-ins", "/etc/systemd/system/*.service.d/*.conf", lambda path: _verify_unit_of(path)),
    Tool("ocf agents", "/usr/lib/ocf/resource.d/*/*", lambda path: ["sh", "-n", path]),
)


# Joins read a kubeconfig that isn't there before: the administrator's, or one that exists only while they run.
_VALIDATE = """
mkdir -p /run/groundplane /etc/kubernetes && touch /run/groundplane/discovery.conf /etc/kubernetes/admin.conf &&
  exec kubeadm config validate --config "$1"
"""

# kubeadm writes the static pod the patch is for, which then differs from the one without patches.
_PATCH = """
part=${1%%+*}; case $part in etcd) phase="etcd local" ;; *) phase="control-plane ${part#kube-}" ;; esac
manifest=/etc/kubernetes/manifests/$part.yaml
config=/etc/groundplane/kubeadm/init.yaml
kubeadm init phase $phase --config $config && mv $manifest /run/patched &&
  rm -r /etc/groundplane/kubeadm/patches/* && kubeadm init phase $phase --config $config &&
  ! cmp --silent $manifest /run/patched
"""


def _verify_unit_of(drop_in: str) -> list[str]:
    return ["systemd-analyze", "verify", "--man=no", Path(drop_in).parent.name.removesuffix(".d")]


def _jobs() -> list[tuple[str, str, Tool, str]]:
    """(case, machine, tool, path) of everything there is to check."""
    found = []
    for case, topology in CASES.items():
        for state in design(topology).states:
            paths = [file.path for file in state.files] + [f"{SEED}/user-data", f"{SEED}/network-config"]
            found += [
                (case, state.machine, tool, path)
                for tool in TOOLS
                for path in paths
                if PurePath(path).match(tool.pattern)
            ]
    return found


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``<case>/<machine>`` is the root tree of every machine's files, secrets and modes and all, with its seed where
    cloud-init looks for it."""
    folder = tmp_path_factory.mktemp("rendered")
    for case, topology in CASES.items():
        lay(folder / case, topology)
    return folder


def lay(folder: Path, topology: Topology) -> None:
    for state in design(topology).states:
        seed = render_seed(topology, topology.machine(state.machine), state)
        files = [
            *state.files,
            File(f"{SEED}/user-data", seed.user_data),
            File(f"{SEED}/network-config", seed.network_config),
        ]
        for file in files:
            path = folder / state.machine / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            path.chmod(file.mode)


@pytest.mark.parametrize(
    ("case", "machine", "tool", "path"),
    [pytest.param(*job, id=f"{job[0]}-{job[1]}-{job[2].name}-{Path(job[3]).name}") for job in _jobs()],
)
def test_program_accepts_its_file(
    case: str, machine: str, tool: Tool, path: str, ground: Ground, rendered: Path, tmp_path: Path
) -> None:
    done = ground.run(machine, rendered / case / machine, tmp_path, tool.argv(path))
    assert done.returncode == 0, f"{path} of {machine}:\n{done.stdout}{done.stderr}"
