"""The platform laid out. Keys and certificates are made in ``topology.pki``, which is imported only where they are."""

from groundplane.topology.layout import lay_out
from groundplane.topology.model import KeyPair, Lan, Machine, Secret, Secrets, Topology, Traits

__all__ = ["KeyPair", "Lan", "Machine", "Secret", "Secrets", "Topology", "Traits", "lay_out"]
