"""Desired state → the NoCloud seed of a machine's first boot, in cloud-config's own terms. Pure."""

from groundplane.cloudinit.render import HIDDEN, UNMADE, render_seed, render_tree
from groundplane.cloudinit.seed import Seed

__all__ = ["HIDDEN", "UNMADE", "Seed", "render_seed", "render_tree"]
