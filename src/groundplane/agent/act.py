"""Carries Changes out, in their order, and tells of each what came of it.

First what files and units stand on, then all files at once, then units, then addresses that files say. The first
Change that fails ends the run: the next one finds what is left.
"""

from __future__ import annotations

from groundplane.agent import ground, kernel, packages
from groundplane.agent.error import AgentError
from groundplane.agent.ours import write_manifest
from groundplane.agent.replacing import replace
from groundplane.agent.run import Run, Stopped
from groundplane.agent.units import retire, take_up
from groundplane.state.change import Kind
from groundplane.state.derived import MANIFEST, manifest_of


def act(run: Run) -> None:
    """Bring the machine to its state. Ends with the first Done that has a problem; an AgentError concerns the whole."""
    if not run.changes:
        return
    try:
        _account_before(run)
        _packages(run)
        ground.lay(run)
        retire(run)
        replacement = replace(run)
        _sysctls(run)
        take_up(run, replacement)
        ground.lay_what_files_say(run)
        _account_after(run)
    except Stopped:
        return


def _account_before(run: Run) -> None:
    """Whatever is about to be laid is ours from now on: a run that is cut off must not lose sight of it."""
    both = run.seen.manifest.joined(manifest_of(run.state))
    if both != run.seen.manifest:
        write_manifest(run.machine, both)


def _account_after(run: Run) -> None:
    with run.carrying_out(*(change for change in run.of(Kind.FILE) if change.key == MANIFEST)):
        write_manifest(run.machine, manifest_of(run.state))


def _packages(run: Run) -> None:
    if changes := run.of(Kind.PACKAGE):
        with run.carrying_out(*changes):
            packages.install(run.machine, [change.key for change in changes])


def _sysctls(run: Run) -> None:
    """Set them, then once more those that a later one reset: ``ip_forward`` does that to its whole family
    (https://docs.kernel.org/networking/ip-sysctl.html)."""
    wanted = {sysctl.key: sysctl for sysctl in run.state.sysctls}
    changes = run.of(Kind.SYSCTL)
    for change in changes:
        with run.carrying_out(change):
            kernel.set_one(run.machine, wanted[change.key])
    if not changes:
        return
    found = kernel.settings(run.machine, run.state.sysctls)
    for sysctl in run.state.sysctls:
        if found.get(sysctl.key) != kernel.plain(sysctl.value):
            kernel.set_one(run.machine, sysctl)
            if kernel.settings(run.machine, [sysctl]).get(sysctl.key) != kernel.plain(sysctl.value):
                raise AgentError(f"the kernel doesn't keep {sysctl.key} at {sysctl.value}")
