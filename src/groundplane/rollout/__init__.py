"""Bringing a platform to what its file says: looked at, planned, ordered, carried out act by act."""

from groundplane.rollout.act import Act, carry_out, in_order

__all__ = ["Act", "carry_out", "in_order"]
