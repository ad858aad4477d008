"""The platform of the imagination, for every test of the recipes."""

from tests.unit.recipes.world import built, world

__all__ = ["built", "world"]
