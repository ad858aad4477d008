"""Bootstrap tokens: made for one join, gone with it.

The token travels from kubeadm's output on a control plane to a file in the joining machine's memory by way of
stdin; it is never an argument, and what is shown or kept never holds it. Its id (the part before the dot) is public.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import ask, kubectl, read
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Secret, Topology

LIFETIME = "10m"
_SHAPE = re.compile(rb"[a-z0-9]{6}\.[a-z0-9]{16}")
_LIST = (
    "get",
    "secrets",
    "--namespace=kube-system",
    "--field-selector=type=bootstrap.kubernetes.io/token",
    r'--output=jsonpath={range .items[*]}{.metadata.name}{" "}{.data.description}{"\n"}{end}',
)


@asynccontextmanager
async def discovery(reach: Reach, topology: Topology, machine: Machine) -> AsyncIterator[None]:
    """While open, ``machine`` holds credentials for one join; afterwards neither they nor their token exist.

    Unless it is left by cancellation: kubeadm goes on by itself on the machine then and needs both. Its unit removes
    the file when it ends, ``sweep`` the token.
    """
    description = f"{paths.TOKEN_DESCRIPTION} join of {machine.name}"
    await revoke(reach, topology, description)  # what a run that was killed left behind
    begun = False
    try:
        token = await _mint(reach, topology, description)
        await _deliver(reach, machine, discovery_file(topology, token))
        begun = True
        yield
    except BaseException as error:
        if begun and isinstance(error, asyncio.CancelledError):
            raise
        # The first failure is the one to tell; a token that can't be deleted now ends by itself in minutes.
        await _withdraw(reach, machine)
        with suppress(StepError):
            await revoke(reach, topology, description)
        raise
    await _withdraw(reach, machine)
    await revoke(reach, topology, description)


async def revoke(reach: Reach, topology: Topology, description: str) -> None:
    """Delete every bootstrap token of that description."""
    await _delete(reach, topology, [name for name, note in await _known(reach, topology) if note == description])


async def left_over(reach: Reach, topology: Topology) -> tuple[str, ...]:
    """The Secrets of all bootstrap tokens we made. Other people's aren't ours to judge."""
    return tuple(name for name, note in await _known(reach, topology) if _ours(note))


async def sweep(reach: Reach, topology: Topology) -> None:
    """Delete every bootstrap token we made."""
    await _delete(reach, topology, await left_over(reach, topology))


def _ours(description: str) -> bool:
    return description == paths.TOKEN_DESCRIPTION or description.startswith(f"{paths.TOKEN_DESCRIPTION} join of ")


async def _known(reach: Reach, topology: Topology) -> list[tuple[str, str]]:
    """Secret's name and description of every bootstrap token. The answer read here holds no token's secret part."""
    answer = await read(reach, topology, kubectl(*_LIST))
    pairs = (line.partition(" ") for line in answer.text.splitlines())
    return [(name, b64decode(note).decode(errors="replace")) for name, _, note in pairs]


async def _delete(reach: Reach, topology: Topology, names: Sequence[str]) -> None:
    if names:
        await ask(
            reach,
            topology,
            kubectl("delete", "secrets", "--namespace=kube-system", "--ignore-not-found", *sorted(names)),
        )


def discovery_file(topology: Topology, token: Secret) -> Secret:
    """The kubeconfig a join starts from.

    It holds the authority and the token, so the machine neither trusts nor asks anything anonymously
    (kubeadm's discovery/file: with credentials in the file cluster-info is optional).
    """
    authority = b64encode(topology.secrets.kubernetes_ca.certificate).decode()
    return Secret(
        f"""apiVersion: v1
kind: Config
clusters:
  - name: "{topology.name}"
    cluster:
      server: "https://{topology.api_host}:{topology.api_port}"
      certificate-authority-data: {authority}
contexts:
  - name: join
    context:
      cluster: "{topology.name}"
      user: join
current-context: join
users:
  - name: join
    user:
      token: "{token.text()}"
""".encode()
    )


async def _mint(reach: Reach, topology: Topology, description: str) -> Secret:
    answer = await ask(
        reach,
        topology,
        (
            "kubeadm",
            "token",
            "create",
            f"--kubeconfig={paths.ADMIN}",
            f"--ttl={LIFETIME}",
            "--usages=authentication",
            f"--description={description}",
        ),
    )
    value = answer.stdout.strip()
    if not _SHAPE.fullmatch(value):
        raise StepError("kubeadm printed something else than a token", where="platform")
    return Secret(value)


async def _deliver(reach: Reach, machine: Machine, content: Secret) -> None:
    script = f"install -d -m 0700 {paths.RUN} && umask 077 && cat > {paths.DISCOVERY}"
    await reach.run(machine.name, ("sh", "-c", script), stdin=content.reveal())


async def _withdraw(reach: Reach, machine: Machine) -> None:
    """Remove the credentials. A machine that is gone has lost them with its memory."""
    try:
        await reach.run(machine.name, ("rm", "-f", paths.DISCOVERY), timeout=15)
    except TransportError:
        return
