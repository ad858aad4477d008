"""The user's way into the cluster: an administrator's kubeconfig, pointed at where this computer reaches the API."""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from groundplane.components.kubeadm import paths
from groundplane.components.kubeadm.control import PATIENCE
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Secret, Topology


async def user_kubeconfig(reach: Reach, topology: Topology, server: str) -> Secret:
    """A kubeconfig for ``server`` (``https://HOST:PORT``), whatever address that is.

    Its credentials are those of whichever control plane answers first; every one of them has its own. The API
    server's certificate is checked against the floating address's name, which ``server`` need not be.
    Raises StepError when no control plane has any.
    """
    return rewrite(await _administrator(reach, topology), topology, server)


def rewrite(original: Secret, topology: Topology, server: str) -> Secret:
    """``original`` under the platform's name, for ``server``. Built anew from the three values that matter."""
    try:
        found = YAML(typ="safe", pure=True).load(original.text())
        authority = str(found["clusters"][0]["cluster"]["certificate-authority-data"])
        user = found["users"][0]["user"]
        certificate, key = str(user["client-certificate-data"]), str(user["client-key-data"])
    except (YAMLError, KeyError, IndexError, TypeError):
        # Nothing of the cause is kept: its words could quote the key.
        raise StepError(
            f"{paths.ADMIN} isn't what kubeadm writes",
            where="platform",
            hint=f"remove {paths.ADMIN} on that control plane and run `groundplane up`",
        ) from None
    name, admin = topology.name, f"{topology.name}-admin"
    return Secret(
        f"""apiVersion: v1
kind: Config
clusters:
- name: {name}
  cluster:
    server: {server}
    tls-server-name: {topology.api_host}
    certificate-authority-data: {authority}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {admin}
current-context: {name}
users:
- name: {admin}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
""".encode()
    )


async def _administrator(reach: Reach, topology: Topology) -> Secret:
    for machine in topology.control_planes:
        try:
            answer = await reach.run(machine.name, ("cat", paths.ADMIN), timeout=PATIENCE)
        except TransportError:
            continue
        if answer.stdout.strip():
            return Secret(answer.stdout)
    raise StepError(
        "no control plane has an administrator's kubeconfig",
        where="platform",
        hint="begin the cluster with `groundplane up`, or start a control plane",
    )
