"""Writing a first cluster file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundplane.cli import outfile
from groundplane.cli.complete import versions
from groundplane.cli.platform import can_ask
from groundplane.cli.session import Session
from groundplane.errors import UsageError

if TYPE_CHECKING:
    from groundplane.spec.first import First

ROUTES = Path("/proc/net/route")

Provider = Annotated[
    str | None,
    typer.Option("--provider", help="Where machines come from: lab, so far.", metavar="PROVIDER", show_default=False),
]
Name = Annotated[
    str | None, typer.Option("--name", help="The platform's name. Default: lab, or lab2 …", show_default=False)
]
ControlPlanes = Annotated[
    int | None,
    typer.Option("--control-planes", help="An odd number. Default: by this computer's memory.", show_default=False),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Default: by this computer's memory.", show_default=False)
]
Balancers = Annotated[
    int | None, typer.Option("--balancers", help="1 or 2. Default: by this computer's memory.", show_default=False)
]
Lan = Annotated[
    str | None,
    typer.Option(
        "--lan",
        help="The machines' network. Default: one this computer has no part in.",
        metavar="RANGE",
        show_default=False,
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--kubernetes",
        help="The Kubernetes version. Default: the newest.",
        autocompletion=versions,
        metavar="VERSION",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was said so far; None: nothing."""

    provider: str | None = None
    name: str | None = None
    control_planes: int | None = None
    workers: int | None = None
    balancers: int | None = None
    lan: str | None = None
    kubernetes: str | None = None


def init(
    session: Session,
    provider: Provider = None,
    name: Name = None,
    control_planes: ControlPlanes = None,
    workers: Workers = None,
    balancers: Balancers = None,
    lan: Lan = None,
    kubernetes: Version = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask: take the defaults.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
) -> None:
    """Write a first cluster file, with comments: it asks, or takes what you say with options."""
    from groundplane.software import known_versions
    from groundplane.spec import load
    from groundplane.spec.addressing import roster

    outfile.check_new(session.file, hint="name another file with --file, or replace it with --force", replace=force)
    wishes = Wishes(provider, name, control_planes, workers, balancers, lan, kubernetes)
    _known(provider)
    if wishes == Wishes() and not yes and not session.json and can_ask(session):
        wishes = _asked(session)
    first = settled(session, wishes)
    text = first.text().encode()
    spec = load(text, name=str(session.file), versions=known_versions())
    outfile.publish(session.file, text, replace=force)
    machines = [{"name": entry.name, "role": entry.first, "roles": entry.all_roles} for entry in roster(spec)]
    if session.json:
        about = {"name": spec.name, "provider": spec.provider, "lan": spec.network.lan, "machines": machines}
        session.out.document("init", {"file": session.file, **about})
        return
    session.out.say(f"{session.file}: written: platform {spec.name}, {len(machines)} machines, LAN {spec.network.lan}")
    file = "" if session.common.file is None else f" --file {session.file}"
    if wishes.balancers is None and first.balancers == 1:
        session.out.tell("this computer has little memory: of each role there is one machine, and none may fail")
    session.out.tell(f"next: look it over; groundplane doctor; then, as root: groundplane up{file}")


def settled(session: Session, wishes: Wishes) -> First:
    """``wishes``, and what this computer suggests where they say nothing. UsageError where nothing suits."""
    from groundplane.software import DEFAULT_VERSION
    from groundplane.spec.first import First, counts_for, name_for

    counts = counts_for(_memory())
    workers = counts.worker if wishes.workers is None else wishes.workers
    return First(
        name=wishes.name or name_for(_platforms(session)),
        lan=_parsed(wishes.lan) if wishes.lan else _free_lan(workers),
        kubernetes=wishes.kubernetes or DEFAULT_VERSION,
        balancers=counts.balancer if wishes.balancers is None else wishes.balancers,
        control_planes=counts.control_plane if wishes.control_planes is None else wishes.control_planes,
        workers=workers,
    )


def _asked(session: Session) -> Wishes:
    """Ask whoever sits there; each answer may be left at what is proposed."""
    from groundplane.spec.model import ProviderName
    from groundplane.spec.providers import DEFAULT

    words = f"Where machines come from ({', '.join(ProviderName)})"
    provider = typer.prompt(words, default=DEFAULT.value, err=True)
    _known(provider)
    proposed = settled(session, Wishes())
    name = typer.prompt("The platform's name", default=proposed.name, err=True)
    balancers = typer.prompt("Balancers (2: one may fail)", default=proposed.balancers, err=True)
    control_planes = typer.prompt("Control planes (3: one may fail)", default=proposed.control_planes, err=True)
    workers = typer.prompt("Workers", default=proposed.workers, err=True)
    lan = typer.prompt("The machines' network", default=str(settled(session, Wishes(workers=workers)).lan), err=True)
    return Wishes(provider, name, control_planes, workers, balancers, lan)


def _known(provider: str | None) -> None:
    from groundplane.spec.model import ProviderName
    from groundplane.spec.providers import DEFAULT

    if provider is not None and provider not in tuple(ProviderName):
        raise UsageError(
            f"there is no provider {provider} yet, only {', '.join(ProviderName)}",
            hint=f"run: groundplane init --provider {DEFAULT}",
        )


def _parsed(lan: str) -> IPv4Network:
    try:
        return IPv4Network(lan)
    except ValueError as error:
        raise UsageError(f"--lan: {error}", hint="write a range such as 10.80.0.0/24") from None


def _free_lan(workers: int) -> IPv4Network:
    from groundplane.spec.first import lan_for, networks_in

    used = networks_in(ROUTES.read_text(encoding="ascii")) if ROUTES.exists() else ()
    if (found := lan_for(workers, used)) is None:
        raise UsageError("this computer's own networks leave no private range free", hint="choose one with --lan")
    return found


def _memory() -> int:
    """Bytes of memory this computer has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _platforms(session: Session) -> list[str]:
    """The platforms this user has here already."""
    folder = session.home.state / "platforms"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
