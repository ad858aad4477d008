"""``render``: every file of every machine, to read."""

from __future__ import annotations

from pathlib import Path

from groundplane.recipes.common import Options, designed, passing_secrets, wanted


def render(options: Options, out: Path, show_secrets: bool = False) -> tuple[Path, ...]:
    """Write every file of every machine under ``out``, building nothing and remembering nothing."""
    from groundplane.cloudinit import render_tree
    from groundplane.store import Store, put_tree

    spec = wanted(options).spec
    store = Store(options.home, spec.name)
    design = designed(spec, store, passing_secrets(spec, store))
    states = {state.machine: state for state in design.states}
    unmade = store.known_secrets() is None
    tree = render_tree(design.topology, states, show_secrets=show_secrets, unmade=unmade)
    put_tree(out, tree)
    return tuple(out / path for path in tree)
