"""Numbered objects in a namespace of the drill's own: what was acknowledged must be there at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from groundplane.components.cluster.api import ask, kubectl, loads
from groundplane.components.cluster.leftovers import why_it_stays
from groundplane.errors import GroundplaneError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet, wait_until

NAMESPACE: Final = "groundplane-drill"
GOING: Final = 120.0
"""Seconds a namespace with all its objects may take to go."""

_MANIFEST: Final = f'{{"apiVersion": "v1", "kind": "Namespace", "metadata": {{"name": "{NAMESPACE}"}}}}'.encode()


@asynccontextmanager
async def namespace(reach: Reach, topology: Topology) -> AsyncIterator[str]:
    """The drill's namespace while the block runs: empty at its beginning, gone at its end."""
    await remove(reach, topology)  # one that was killed left its own behind
    try:
        await ask(reach, topology, kubectl("apply", "--filename=-"), stdin=_MANIFEST)
        yield NAMESPACE
    except BaseException:
        with suppress(GroundplaneError):  # what ended the drill matters more, and the next one removes it
            await remove(reach, topology)
        raise
    await remove(reach, topology)


async def remove(reach: Reach, topology: Topology) -> None:
    """Remove the namespace and everything in it; returns when it is gone."""
    await ask(reach, topology, kubectl("delete", f"namespace/{NAMESPACE}", "--ignore-not-found", "--wait=false"))

    async def gone() -> None:
        argv = kubectl("get", f"namespace/{NAMESPACE}", "--ignore-not-found", "--output=json")
        if there := (await ask(reach, topology, argv)).text:
            raise NotYet(why_it_stays(loads(there)) or "it is there still")

    await wait_until(
        f"the namespace {NAMESPACE} is gone",
        gone,
        deadline=GOING,
        where="platform",
        hint="`groundplane verify leftovers` names what keeps namespaces from ending",
    )


async def numbers(reach: Reach, topology: Topology) -> frozenset[int]:
    """The numbers of the objects that are there and hold what was written to them."""
    argv = kubectl("get", "configmaps", f"--namespace={NAMESPACE}", "--output=json")
    items = loads((await ask(reach, topology, argv)).text)["items"]
    found = ((item["metadata"]["name"], item.get("data", {}).get("number", "")) for item in items)
    return frozenset(int(number) for name, number in found if number.isdigit() and name == f"write-{number}")
