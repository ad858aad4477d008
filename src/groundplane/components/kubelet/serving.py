"""The kubelets' serving certificates: signed by the cluster's authority, approved here and nowhere else.

The controller manager signs but never approves them, because only who knows the machines can tell whether a node
may call itself what it asks for. We know them: a request is approved when it comes from that node and names
nothing but that machine. Renewals (about once a year) come the same way and are approved by the next apply.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import ask, kubectl, loads
from groundplane.errors import StepError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.condition import NotYet, wait_until

SIGNER = "kubernetes.io/kubelet-serving"
_USAGES = frozenset({"digital signature", "key encipherment", "server auth"})
_HINT = "`kubectl get csr` shows the requests; if the machine's name or address was changed by hand, undo that"
_SELECTOR = f"--field-selector=spec.signerName={SIGNER}"


@dataclass(frozen=True, slots=True)
class Request:
    """A pending request for a serving certificate. ``pem`` is the PKCS#10 request."""

    name: str
    user: str
    groups: frozenset[str]
    usages: frozenset[str]
    pem: bytes


async def pending(reach: Reach, topology: Topology) -> tuple[Request, ...]:
    """Every request for a kubelet's serving certificate that nobody has decided on."""
    argv = kubectl("get", "certificatesigningrequests", _SELECTOR, "--output=json")
    answer = await ask(reach, topology, argv)
    items = loads(answer.text)["items"]
    return tuple(_request(item) for item in items if not item.get("status", {}).get("conditions"))


def _request(item: dict[str, Any]) -> Request:
    spec = item["spec"]
    return Request(
        name=item["metadata"]["name"],
        user=spec.get("username", ""),
        groups=frozenset(spec.get("groups", ())),
        usages=frozenset(spec.get("usages", ())),
        pem=b64decode(spec["request"]),
    )


def of(requests: Sequence[Request], machine: Machine) -> tuple[Request, ...]:
    """Those which ``machine`` sent, or somebody who holds its credentials."""
    return tuple(request for request in requests if request.user == user_of(machine))


def user_of(machine: Machine) -> str:
    return f"system:node:{machine.name}"


def objection(request: Request, machine: Machine) -> str:
    """Why ``request`` must not be approved for ``machine``; empty when nothing speaks against it."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    if request.user != user_of(machine) or "system:nodes" not in request.groups:
        return f"{request.user} sent it, not {user_of(machine)}"
    if not request.usages <= _USAGES or "server auth" not in request.usages:
        return f"it asks for the usages {', '.join(sorted(request.usages))}"
    try:
        parsed = x509.load_pem_x509_csr(request.pem)
        alternatives = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        return f"it can't be read or names nothing: {error}"
    if not parsed.is_signature_valid:
        return "its signature doesn't match its key"
    subject = {(attribute.oid, attribute.value) for attribute in parsed.subject}
    if subject != {(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, user_of(machine))}:
        return f"its subject is {parsed.subject.rfc4514_string()}"
    return _foreign(alternatives, machine)


def _foreign(alternatives: Any, machine: Machine) -> str:
    from cryptography import x509

    own: set[str | IPv4Address | IPv6Address] = {machine.name, machine.fqdn, machine.address}
    foreign = [
        str(entry.value)
        for entry in alternatives
        if not isinstance(entry, x509.DNSName | x509.IPAddress) or entry.value not in own
    ]
    return f"it asks for {', '.join(foreign)}, which isn't {machine.name}'s" if foreign else ""


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
