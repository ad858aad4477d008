"""Commands about the software bundle: Kubernetes and all that Debian doesn't carry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from groundplane.cli import exits, outfile
from groundplane.cli.complete import sources, versions
from groundplane.cli.output import columns, size
from groundplane.cli.session import Session, command
from groundplane.errors import BundleError

if TYPE_CHECKING:
    from groundplane.bundle.bundle import Bundle
    from groundplane.bundle.sources import Mirrors, SourceName

Version = Annotated[
    str | None,
    typer.Argument(
        help="A Kubernetes version; default: the one that `explain versions` marks.",
        autocompletion=versions,
        metavar="VERSION",
        show_default=False,
    ),
]


MIRROR_HELP = "Ask ADDRESS instead of an official HOST (of images or downloads); may be repeated."
MIRROR_SHAPE = "HOST=ADDRESS"


def register(app: typer.Typer) -> None:
    """Add ``bundle`` and its commands to ``app``."""
    group = typer.Typer(no_args_is_help=True, help="The software bundle: make it, check it, carry it elsewhere.")
    command(group, "build")(build)
    command(group, "list", json=True)(list_parts)
    command(group, "verify", json=True)(verify)
    command(group, "export")(export)
    command(group, "import")(import_file)
    command(group, "sbom")(sbom)
    app.add_typer(group, name="bundle", rich_help_panel="Software")


def build(
    session: Session,
    version: Version = None,
    source: Annotated[
        str,
        typer.Option("--source", help="auto, file, release or modules.", autocompletion=sources, metavar="SOURCE"),
    ] = "auto",
    origin: Annotated[
        Path | None, typer.Option("--from", help="An exported bundle.", show_default=False, readable=False)
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            "--mirror",
            help=MIRROR_HELP,
            metavar=MIRROR_SHAPE,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Get the bundle into the cache: from a file, the official releases, or built from published Go modules."""
    from groundplane.bundle.obtain import obtain

    chosen = source_named(source, "--source", origin, "--from")
    wanted = version_named(version)
    with session.progress() as emit:
        bundle = obtain(
            wanted,
            cache=session.home.prepared_cache() / "bundle",
            source=chosen,
            file=origin,
            mirrors=mirrors(mirror or (), "--mirror"),
            emit=emit,
        )
    session.out.say(f"Kubernetes {bundle.version}: {len(bundle.parts)} parts, {size(bundle.size)}, {bundle.path}")


def mirrors(words: Sequence[str], option: str) -> Mirrors:
    """What ``option`` asks for. A host gives either images or downloads, so one list serves both."""
    from groundplane.bundle.sources import Mirrors

    pairs = []
    for word in words:
        host, _, address = word.partition("=")
        if not host or not address.startswith(("http://", "https://")):
            raise typer.BadParameter(
                f"{word!r} isn't HOST=ADDRESS, as dl.k8s.io=http://10.0.0.2/k8s", param_hint=option
            )
        pairs.append((host, address.rstrip("/")))
    return Mirrors(registries=tuple(pairs), files=tuple(pairs))


def list_parts(session: Session, version: Version = None) -> None:
    """List what the cached bundle is made of."""
    bundle = cached(session, version)
    if session.json:
        session.out.document(
            "bundle-list",
            {
                "kubernetes": bundle.version,
                "digest": bundle.digest,
                "path": bundle.path,
                "size": bundle.size,
                "parts": bundle.parts,
                "images": bundle.images,
                "binaries": bundle.binaries,
            },
        )
        return
    rows = [(part.name, part.version, size(part.size), part.licence, part.source) for part in bundle.parts]
    for line in columns(rows, session.out.result, head=("PART", "VERSION", "SIZE", "LICENCE", "SOURCE")):
        session.out.say(line)


def verify(session: Session, version: Version = None) -> None:
    """Read every byte of the cached bundle and compare it with its digest."""
    bundle = cached(session, version)
    with session.progress() as emit:
        damages = bundle.verify(emit)
    if session.json:
        content = {"kubernetes": bundle.version, "digest": bundle.digest, "ok": not damages, "damages": damages}
        session.out.document("bundle-verify", content)
    else:
        for damage in damages:
            session.out.say(
                f"{session.out.result.mark(False)} {damage.kind}: {damage.digest} of {', '.join(damage.parts)}"
            )
        session.out.say(
            f"{len(damages)} damaged" if damages else f"Kubernetes {bundle.version} is whole: {bundle.digest}"
        )
    if damages:
        raise typer.Exit(exits.FAILED)


def export(
    session: Session,
    path: Annotated[Path, typer.Argument(help="The tar to write.", metavar="PATH", show_default=False, readable=False)],
    version: Annotated[
        str | None,
        typer.Option(
            "--kubernetes",
            help="Which version; default: the one that `explain versions` marks.",
            metavar="VERSION",
            autocompletion=versions,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the cached bundle as one file, to be carried to where there is no network."""
    from groundplane.bundle.archive import export_bundle

    outfile.check_new(path)
    bundle = cached(session, version)
    with session.progress():
        export_bundle(bundle, path)
    session.out.say(f"{path}: Kubernetes {bundle.version}, {size(path.stat().st_size)}")


def import_file(
    session: Session,
    path: Annotated[
        Path, typer.Argument(help="An exported bundle.", metavar="PATH", show_default=False, readable=False)
    ],
) -> None:
    """Take an exported bundle into the cache, checking every byte."""
    from groundplane.bundle.archive import import_bundle

    with session.progress() as emit:
        bundle = import_bundle(path, session.home.prepared_cache() / "bundle", emit)
    session.out.say(f"Kubernetes {bundle.version}: {len(bundle.parts)} parts, {size(bundle.size)}")


def sbom(session: Session, version: Version = None) -> None:
    """Write the cached bundle's bill of materials, CycloneDX JSON."""
    sys.stdout.write(cached(session, version).sbom().decode())
    sys.stdout.flush()


def source_named(name: str, option: str, file: Path | None, file_option: str) -> SourceName:
    """The source of that name; bad usage where there is none, or where it and ``file`` don't go together."""
    from groundplane.bundle.sources import SourceName

    names: dict[str, SourceName] = {source: source for source in get_args(SourceName)}
    if name not in names:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(names)}", param_hint=option)
    if name == "file" and file is None:
        raise typer.BadParameter(f"'file' needs an exported bundle: add {file_option} PATH", param_hint=option)
    if name not in ("auto", "file") and file is not None:
        raise typer.BadParameter(f"goes with {option} file only, not with {name!r}", param_hint=file_option)
    return names[name]


def version_named(version: str | None) -> str:
    """That Kubernetes version, or the default; bad usage where there is no software for it."""
    from groundplane.software import DEFAULT_VERSION, known_versions

    if version is not None and version not in known_versions():
        raise typer.BadParameter(f"{version!r} is not one of {', '.join(known_versions())}", param_hint="VERSION")
    return version or DEFAULT_VERSION


def cache(session: Session) -> Path:
    """Where bundles lie."""
    return session.home.cache / "bundle"


def cached(session: Session, version: str | None) -> Bundle:
    """The bundle in the cache; BundleError where it isn't there."""
    from groundplane.bundle.obtain import cached_bundle
    from groundplane.bundle.versions import load_versions

    wanted = version_named(version)
    bundle = cached_bundle(load_versions(wanted), cache(session))
    if bundle is None:
        raise BundleError(
            f"Kubernetes {wanted} is not in the cache, or not whole",
            where=str(cache(session)),
            hint=f"get it with: groundplane bundle build {wanted}",
        )
    return bundle
