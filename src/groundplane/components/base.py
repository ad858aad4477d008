"""What every component is: a name, what it adds to a machine, its cluster-wide steps and its checks."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from groundplane.state.model import Fragment
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import Check


def no_steps(_: Topology) -> tuple[Step, ...]:
    return ()


def no_checks(_: Topology) -> tuple[Check, ...]:
    return ()


def no_leaving(_: Topology, __: Machine) -> tuple[Step, ...]:
    return ()


def no_spare(_: Topology, __: Machine) -> Check | None:
    return None


async def nothing_ails(_: Reach, __: Topology, ___: Machine) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Health:
    """How a server is asked whether it is well: over HTTPS, and 200 is the answer. ``host`` is the name it is asked by
    and that its certificate has to bear, signed by the authority of that name and certificate (PEM). ``stopping`` is
    what a server that is told to stop says is not well (status 500, a line ``[-]stopping …`` and no other such): it
    serves on for a while then."""

    path: str
    host: str
    authority: str
    certificate: bytes
    stopping: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """What is offered behind the floating address, over TCP: at ``port`` there, by ``servers`` at the same port.

    ``name`` is the service's, ``backend`` what the servers together are called.
    """

    name: str
    port: int
    backend: str
    servers: tuple[Machine, ...]
    health: Health


Publishing = Callable[[Topology], tuple[Published, ...]]


def nothing_published(_: Topology) -> tuple[Published, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Component:
    """One real component. ``fragment`` returns None for machines it has nothing to do with.

    ``publishes`` says what it offers behind the floating address; whoever brings that about is told by ``catalog``.

    ``spare`` gives the check that the others can carry the service while this machine is worked on, None where nobody
    can or need; ``without``, that they can do without the machine for longer or for good, where that takes more.
    ``ails`` asks whether what the others have of the machine is known not to work: one that leaves goes first then.
    ``interrupts`` says, by unit, what a restart of it interrupts. ``leaving`` are the Steps by which a machine that may
    be dead leaves a platform, the topology being the one without it: what it served others is served elsewhere, and
    nobody counts on it any more.
    """

    name: str
    fragment: Callable[[Topology, Machine], Fragment | None]
    steps: Callable[[Topology], tuple[Step, ...]] = no_steps
    checks: Callable[[Topology], tuple[Check, ...]] = no_checks
    spare: Callable[[Topology, Machine], Check | None] = no_spare
    without: Callable[[Topology, Machine], Check | None] = no_spare
    ails: Callable[[Reach, Topology, Machine], Awaitable[bool]] = nothing_ails
    interrupts: Mapping[str, str] = field(default_factory=dict)
    leaving: Callable[[Topology, Machine], tuple[Step, ...]] = no_leaving
    publishes: Publishing = nothing_published


_CACHE = "__pycache__"


def templates(package_file: str) -> Environment:
    """The Jinja environment of a component's ``templates/`` folder; call it with the module's ``__file__``.

    One per folder, shared by all who ask: a template is compiled once, however many machines it is rendered for."""
    return _environment(Path(package_file).parent / "templates")


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        auto_reload=False,  # the files are the program's own
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # configuration files, not HTML
        bytecode_cache=_Compiled(str(folder / _CACHE)),
    )


class _Compiled(FileSystemBytecodeCache):
    """Keeps what templates were compiled to beside them, as Python does with modules: where it may write, and unless it
    was told not to. Compiling takes longer than rendering for a whole platform."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                Path(self.directory).mkdir(exist_ok=True)
                super().dump_bytecode(bucket)


def compile_templates() -> None:
    """Compile every component's templates, for whoever may not write there later."""
    sys.dont_write_bytecode = False
    for folder in sorted(Path(__file__).parent.glob("*/templates")):
        environment = _environment(folder)
        for name in environment.list_templates(filter_func=lambda name: not name.startswith(_CACHE)):
            environment.get_template(name)
