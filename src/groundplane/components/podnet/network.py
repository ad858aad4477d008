"""What the other rooms know of the pod network, whichever it is. The component that is one publishes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from groundplane.software import Software


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """A network between pods.

    ``namespace`` is where its own pods run, ``image`` their image's name of the bundle; ``link``: the command that
    shows its link on a node, in backquotes; ``cards``: the network cards of a node at which its pods' traffic comes in.
    """

    namespace: str
    link: str
    cards: tuple[str, ...]
    image: Callable[[Software], str]

    @property
    def shown_by(self) -> str:
        """The command that shows its pods, in backquotes."""
        return f"`kubectl -n {self.namespace} get pods -o wide`"
