"""Desired state → the NoCloud seed of a machine's first boot, in cloud-config's own terms. Pure."""

from groundplane.cloudinit.render import HIDDEN, render_seed, render_tree
from groundplane.cloudinit.seed import Seed

__all__ = ["HIDDEN", "Seed", "render_seed", "render_tree"]
