"""What the other rooms know of the pod network, whichever it is. The component that is one publishes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from groundplane.software import Software


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """A network between pods.

    ``namespace`` is where its own pods run, ``account`` the service account they use, ``image`` their image's name of
    the bundle; ``link``: the command that shows its link on a node, in backquotes.

    What it makes on a node follows from the range of addresses the cluster gave that node for its pods, and is worth
    nothing once the node has another: ``bridge`` is the device that the node's pods hang on, ``reserved`` the folders
    with the addresses they have; ``overlay`` is the device that leads to the other nodes, ``lease`` the files in which
    its own pod says which range that is. The two devices' addresses are of the range.
    """

    namespace: str
    account: str
    link: str
    image: Callable[[Software], str]
    bridge: str
    reserved: tuple[str, ...]
    overlay: str
    lease: tuple[str, ...]

    @property
    def user(self) -> str:
        """Who its pods are to the API."""
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    @property
    def cards(self) -> tuple[str, ...]:
        """The network cards of a node at which its pods' traffic comes in."""
        return self.bridge, self.overlay

    @property
    def shown_by(self) -> str:
        """The command that shows its pods, in backquotes."""
        return f"`kubectl -n {self.namespace} get pods -o wide`"
