"""``down``: remove a platform."""

from __future__ import annotations

from groundplane.recipes.common import Options, designed, named, passing_secrets, provider_for, working
from groundplane.spec import ClusterSpec


async def down(options: Options) -> bool:
    """Remove the platform: machines, networks, secrets. Caches and the journal stay. False: there was nothing of it.

    Where nothing is remembered, this computer is searched: a lost state folder leaves a running platform behind.
    """
    bare = ClusterSpec(name=named(options).name)
    with working(options, bare, "down") as (store, emit, _):
        spec = store.intended_spec() or store.remembered_spec() or bare
        provider = provider_for(designed(spec, store, passing_secrets(spec, store)), store, emit)
        if not store.exists and not provider.remains():
            return False
        await provider.destroy()
        store.forget()
        return True
