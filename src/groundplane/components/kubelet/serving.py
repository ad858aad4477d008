"""The kubelets' serving certificates: signed by the cluster's authority, approved by us and by nobody else.

The controller manager signs but never approves them, because only who knows the machines can tell whether a node
may call itself what it asks for. We know them: a request is approved when it comes from that node and names
nothing but that machine. A kubelet asks anew long before its certificate ends; control planes approve that by
themselves (``remote/approve.py``, which holds the one judgement).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import ask, kubectl, loads, read
from groundplane.components.kubelet.remote import approve as judge
from groundplane.components.kubelet.remote.approve import Request, requests
from groundplane.errors import StepError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

APPROVE_PROGRAM: Final = Path(judge.__file__).read_text()
_HINT = "`kubectl get csr` shows the requests; if the machine's name or address was changed by hand, undo that"


async def pending(reach: Reach, topology: Topology) -> tuple[Request, ...]:
    """Every request for a kubelet's serving certificate that nobody has decided on."""
    answer = await read(reach, topology, kubectl(*judge.PENDING))
    return requests(loads(answer.text)["items"])


def of(requests: Sequence[Request], machine: Machine) -> tuple[Request, ...]:
    """Those which ``machine`` sent, or somebody who holds its credentials."""
    return tuple(request for request in requests if request.user == judge.USER + machine.name)


def names_of(machine: Machine) -> tuple[str, ...]:
    """What a kubelet may call itself."""
    return machine.name, machine.fqdn, str(machine.address)


def objection(request: Request, machine: Machine) -> str:
    """Why ``request`` must not be approved for ``machine``; empty when nothing speaks against it."""
    return judge.objection(request, machine.name, names_of(machine), _signed)


def _signed(pem: bytes) -> bool:
    from cryptography import x509

    try:
        return x509.load_pem_x509_csr(pem).is_signature_valid
    except ValueError:
        return False


async def present(reach: Reach, machine: Machine) -> bool:
    """Whether ``machine``'s kubelet has a serving certificate, a good one or not."""
    return (await reach.run(machine.name, ("test", "-s", paths.SERVING), check=False, timeout=15)).status == 0


async def approve(reach: Reach, topology: Topology, machine: Machine, *, deadline: float) -> None:
    """Approve ``machine``'s honest requests and wait until its kubelet has the certificate.

    A node asks anew each time its kubelet starts, so there may be several. One that asks for more than the
    machine is stays undecided, and is an error with or without a certificate: somebody should know.
    """
    refused: dict[str, str] = {}

    async def probe() -> None:
        honest = []
        for request in of(await pending(reach, topology), machine):
            reason = objection(request, machine)
            if reason:
                refused[request.name] = reason
            else:
                honest.append(request.name)
        if honest:
            await ask(reach, topology, kubectl("certificate", "approve", *honest))
        if not await present(reach, machine):
            raise NotYet(_seen(refused))

    await wait_until(
        "the kubelet gets its serving certificate",
        probe,
        deadline=deadline,
        where=machine.name,
        hint=_HINT,
    )
    if refused:
        raise StepError(
            "a request for a serving certificate was not approved",
            where=machine.name,
            hint=_HINT,
            detail=_seen(refused),
        )


def _seen(refused: dict[str, str]) -> str:
    if not refused:
        return "it has asked for none yet, or isn't done with it"
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(refused.items()))
