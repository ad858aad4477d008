"""The user's way into the cluster: an administrator's kubeconfig, pointed at where this computer reaches the API."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import PATIENCE
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import KeyPair, Secret, Topology


async def user_kubeconfig(reach: Reach, topology: Topology, server: str) -> Secret:
    """A kubeconfig for ``server`` (``https://HOST:PORT``), whatever address that is.

    Its credentials are those of whichever control plane answers first; every one of them has its own. The API
    server's certificate is checked against the floating address's name, which ``server`` need not be.
    Raises StepError when no control plane has any.
    """
    return rewrite(await _administrator(reach, topology), topology, server)


async def identity(reach: Reach, topology: Topology) -> KeyPair:
    """An administrator's client certificate and its key, of whichever control plane answers first.

    Raises StepError when no control plane has any.
    """
    found = _parts(await _administrator(reach, topology))
    try:
        return KeyPair(b64decode(found.certificate), Secret(b64decode(found.key.reveal())))
    except ValueError:
        raise _unreadable() from None


def rewrite(original: Secret, topology: Topology, server: str) -> Secret:
    """``original`` under the platform's name, for ``server``. Built anew from the three values that matter."""
    found = _parts(original)
    name, admin = topology.name, f"{topology.name}-admin"
    return Secret(
        f"""apiVersion: v1
kind: Config
clusters:
- name: "{name}"
  cluster:
    server: "{server}"
    tls-server-name: "{topology.api_host}"
    certificate-authority-data: {found.authority}
contexts:
- name: "{name}"
  context:
    cluster: "{name}"
    user: "{admin}"
current-context: "{name}"
users:
- name: "{admin}"
  user:
    client-certificate-data: {found.certificate}
    client-key-data: {found.key.text()}
""".encode()
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """The values of a kubeconfig that matter, in base64 as they stand there."""

    authority: str
    certificate: str
    key: Secret


def _parts(original: Secret) -> _Parts:
    try:
        found = YAML(typ="safe", pure=True).load(original.text())
        authority = str(found["clusters"][0]["cluster"]["certificate-authority-data"])
        user = found["users"][0]["user"]
        return _Parts(authority, str(user["client-certificate-data"]), Secret(user["client-key-data"].encode()))
    except (YAMLError, KeyError, IndexError, TypeError, AttributeError):
        # Nothing of the cause is kept: its words could quote the key.
        raise _unreadable() from None


def _unreadable() -> StepError:
    return StepError(
        f"{paths.ADMIN} isn't what kubeadm writes",
        where="platform",
        hint=f"remove {paths.ADMIN} on that control plane and run `groundplane up`",
    )


async def _administrator(reach: Reach, topology: Topology) -> Secret:
    """All control planes are asked at once: one that hangs would keep everybody waiting whose turn comes after it."""

    async def ask(machine: str) -> Secret | None:
        try:
            answer = await reach.run(machine, ("cat", paths.ADMIN), timeout=PATIENCE)
        except TransportError:
            return None
        return Secret(answer.stdout) if answer.stdout.strip() else None

    asked = [asyncio.create_task(ask(machine.name)) for machine in topology.control_planes]
    try:
        for answer in asyncio.as_completed(asked):
            if (found := await answer) is not None:
                return found
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    raise StepError(
        "no control plane has an administrator's kubeconfig",
        where="platform",
        hint="begin the cluster with `groundplane up`, or start a control plane",
    )
