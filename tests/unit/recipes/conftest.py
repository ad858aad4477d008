"""The platform of the imagination, for every test of the recipes."""

from tests.unit.recipes.world import built, registry, world

__all__ = ["built", "registry", "world"]
