"""Runs on a control plane: approves the serving certificates that kubelets ask for, where they are for exactly what
their machines are.

The first argument is a file that says what each node may call itself: ``{"worker1": ["worker1", "10.80.0.51"]}``. The
same judgement is asked by whoever brings a platform about (``kubelet/serving.py``). A request that is objected to stays
undecided, for people to see.
"""

from __future__ import annotations

import binascii
import json
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

SIGNER = "kubernetes.io/kubelet-serving"
USER = "system:node:"
GROUP = "system:nodes"
USAGES = frozenset({"digital signature", "key encipherment", "server auth"})
PENDING = ("get", "certificatesigningrequests", f"--field-selector=spec.signerName={SIGNER}", "--output=json")
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=15s")

# The object identifiers of X.520 and PKCS#9 that a request is read by, as DER has them.
ORGANISATION, COMMON_NAME = b"\x55\x04\x0a", b"\x55\x04\x03"
EXTENSIONS, ALTERNATIVES = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e", b"\x55\x1d\x11"
DNS, IP = 0x82, 0x87  # kinds of names (GeneralName, RFC 5280)


@dataclass(frozen=True)
class Request:
    """A pending request for a serving certificate. ``pem`` is the PKCS#10 request."""

    name: str
    user: str
    groups: frozenset[str]
    usages: frozenset[str]
    pem: bytes


def requests(items: list[dict[str, Any]]) -> tuple[Request, ...]:
    """Those of the API's items that nobody has decided on."""
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


def objection(request: Request, node: str, own: Collection[str], signed: Callable[[bytes], bool]) -> str:
    """Why ``request`` must not be approved for ``node``, which may call itself by ``own`` names; empty when nothing
    speaks against it. ``signed`` says whether a request is signed with the key it is for."""
    if request.user != USER + node or GROUP not in request.groups:
        return f"{request.user} sent it, not {USER}{node}"
    if not request.usages <= USAGES or "server auth" not in request.usages:
        return f"it asks for the usages {', '.join(sorted(request.usages))}"
    try:
        subject, names = read(request.pem)
    except (ValueError, IndexError) as error:
        return f"it can't be read: {error}"
    if not signed(request.pem):
        return "its signature doesn't match its key"
    if sorted(subject) != sorted([(ORGANISATION, GROUP), (COMMON_NAME, USER + node)]):
        return f"its subject is {', '.join(text for _, text in subject)}"
    if not names:
        return "it names nothing"
    foreign = [text for kind, text in names if kind not in (DNS, IP) or text not in own]
    return f"it asks for {', '.join(foreign)}, which isn't {node}'s" if foreign else ""


# -- a request's content (RFC 2986) ----------------------------------------------------------------------------------


def read(pem: bytes) -> tuple[list[tuple[bytes, str]], list[tuple[int, str]]]:
    """A request's subject, as (identifier, text), and every alternative name it asks for, as (kind, text)."""
    # One block and nothing around it: whoever signs it must find the same one.
    whole = re.fullmatch(rb"-{5}BEGIN (CERTIFICATE REQUEST)-{5}\n([\w+/=\n]+)-{5}END \1-{5}\n?", pem)
    if whole is None:
        raise ValueError("it isn't one request in PEM")
    try:
        der = b64decode(whole[2].replace(b"\n", b""), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    ((_, request),) = values(der)
    (_, information), *_ = values(request)
    _, (_, subject), _, *attributes = values(information)
    pairs = [pair for _, several in values(subject) for _, one in values(several) for pair in [list(values(one))]]
    names = [name for _, content in attributes for _, one in values(content) for name in _alternatives(one)]
    return [(identifier, text.decode()) for (_, identifier), (_, text) in pairs], names


def _alternatives(attribute: bytes) -> Iterator[tuple[int, str]]:
    (_, identifier), (_, content) = values(attribute)
    if identifier != EXTENSIONS:
        return
    for _, extensions in values(content):
        for _, extension in values(extensions):
            (_, kind), *_, (_, value) = values(extension)
            if kind == ALTERNATIVES:
                ((_, names),) = values(value)
                yield from ((tag, _text(tag, name)) for tag, name in values(names))


def _text(tag: int, name: bytes) -> str:
    return str(ip_address(name)) if tag == IP else name.decode("ascii", "backslashreplace")


def values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and content of each value of DER (X.690), one after the other."""
    while der:
        tag, length, begin = der[0], der[1], 2
        if length & 0x80:
            begin += length & 0x7F
            length = int.from_bytes(der[2:begin], "big")
        if begin + length > len(der):
            raise ValueError("it is cut off")
        yield tag, der[begin : begin + length]
        der = der[begin + length :]


# -- on the control plane --------------------------------------------------------------------------------------------


def signed(pem: bytes) -> bool:
    done = subprocess.run(["openssl", "req", "-noout", "-verify"], input=pem, capture_output=True, check=False)
    return b"verify OK" in done.stdout + done.stderr  # its status says nothing of it


def kubectl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KUBECTL, *words], capture_output=True, text=True, timeout=30, check=False)


def main() -> None:
    nodes = json.loads(Path(sys.argv[1]).read_text())
    answer = kubectl(*PENDING)
    if answer.returncode != 0:
        print("the API doesn't answer; asked again later")
        return
    honest = []
    for request in requests(json.loads(answer.stdout)["items"]):
        node = request.user.removeprefix(USER)
        if reason := objection(request, node, nodes.get(node, ()), signed):
            print(f"{request.name} of {request.user} is not approved: {reason}", flush=True)
        else:
            honest.append(request.name)
    if honest:
        done = kubectl("certificate", "approve", *honest)
        print(done.stdout.strip())
        if done.returncode != 0:
            sys.exit(done.stderr.strip())


if __name__ == "__main__":
    main()
