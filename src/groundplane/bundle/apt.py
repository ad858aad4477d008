"""Where this machine's own apt gets Debian or Ubuntu from, and whom it trusts for it.

No mirror is written down anywhere in groundplane: what the machine's apt already uses is used for the
trees built here as well, so that a private mirror or an air-gapped host needs no second setting.
Both of apt's formats are read: one-line (``*.list``) and deb822 (``*.sources``), see sources.list(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from groundplane.errors import HostError

Distribution = Literal["debian", "ubuntu"]

APT_ROOT: Final = Path("/etc/apt")
KEYRINGS: Final = Path("/usr/share/keyrings")

_SUITES: Final[Mapping[str, frozenset[str]]] = {
    "debian": frozenset(
        {"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid"}
        | {"oldoldstable", "oldstable", "stable", "testing", "unstable"}
    ),
    "ubuntu": frozenset({"bionic", "focal", "jammy", "noble", "oracular", "plucky", "questing", "devel"}),
}
_KEYRING: Final[Mapping[str, tuple[str, str]]] = {  # file name, package that brings it
    "debian": ("debian-archive-keyring", "debian-archive-keyring"),
    "ubuntu": ("ubuntu-archive-keyring", "ubuntu-keyring"),
}
_POCKETS: Final = ("-updates", "-security")
"""What stands after the release's name in the names of those suites that hold what came after it."""

_ONE_LINE: Final = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>.*)$")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One ``deb`` entry of the machine's apt: a base address, its suites and components."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def serves(self, distribution: Distribution) -> bool:
        """Whether this is the distribution's main archive (not its security archive, nor a vendor's)."""
        last = urlsplit(self.uri).path.rstrip("/").rpartition("/")[2]
        return not last.endswith(("-security", "-debug", "-ports", "-backports")) and self.has(distribution, "")

    def has(self, distribution: Distribution, pocket: str) -> bool:
        """Whether some release of the distribution, followed by ``pocket``, is taken from here."""
        known = {f"{release}{pocket}" for release in _SUITES[distribution]}
        return "main" in self.components and not known.isdisjoint(self.suites)


def host_mirrors(distribution: Distribution, *, root: Path = APT_ROOT) -> tuple[str, ...]:
    """Base addresses of the distribution's main archive in the machine's apt sources, in apt's own order.

    Empty where the machine has none (an Ubuntu host asked for Debian, say): the caller then needs an
    explicit mirror and says so.
    """
    found = (source.uri.rstrip("/") for source in host_sources(root) if source.serves(distribution))
    return tuple(dict.fromkeys(found))


def deb_lines(
    distribution: Distribution, release: str, components: Sequence[str], *, root: Path = APT_ROOT
) -> tuple[str, ...]:
    """``release``, its updates and its security fixes, each from where the machine's apt takes those of its own
    release: lines as in sources.list(5), in that order.

    The machine may be of another release than ``release``; an archive has all of them side by side. Updates and
    security fixes are left out where the machine takes none, and all is where it has no such archive.
    """
    found = host_sources(root)
    bases = [(uri, "") for uri in host_mirrors(distribution, root=root)]
    if bases:
        bases += [(source.uri, end) for end in _POCKETS for source in found if source.has(distribution, end)]
    lines = (f"deb {uri.rstrip('/')} {release}{end} {' '.join(components)}" for uri, end in bases)
    return tuple(dict.fromkeys(lines))


def keyring(distribution: Distribution, *, folder: Path = KEYRINGS) -> Path:
    """The distribution's archive keyring; raises HostError when its package isn't installed."""
    name, package = _KEYRING[distribution]
    for suffix in (".gpg", ".pgp"):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise HostError(
        f"the {distribution} archive keyring is missing",
        where=str(folder),
        hint=f"install the package {package}",
    )


def host_sources(root: Path = APT_ROOT) -> tuple[AptSource, ...]:
    """Every enabled ``deb`` entry under ``root``, in the order apt reads them."""
    found: list[AptSource] = []
    for path in _source_files(root):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # apt skips what it can't read, too
        found.extend(parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text))
    return tuple(found)


def parse_one_line(text: str) -> Iterator[AptSource]:
    """The ``deb`` lines of a one-line style file; anything else is not ours to judge."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(pair.partition("=")[::2] for pair in (match["options"] or "").split())
        yield AptSource(match["uri"], (match["suite"],), tuple(match["rest"].split()), options.get("signed-by", ""))


def parse_deb822(text: str) -> Iterator[AptSource]:
    """The enabled ``deb`` stanzas of a deb822 file, one AptSource per address."""
    for fields in _stanzas(text.splitlines()):
        if fields.get("enabled", "yes").lower() in {"no", "false", "0", "off", "without", "disable"}:
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            yield AptSource(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )


def _source_files(root: Path) -> Sequence[Path]:
    parts = root / "sources.list.d"
    files = [root / "sources.list"]
    if parts.is_dir():
        files += sorted(path for path in parts.iterdir() if path.suffix in {".list", ".sources"})
    return [path for path in files if path.is_file()]


def _stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Split deb822 text into stanzas of lower-cased field names; continuation lines join their field."""
    fields: dict[str, str] = {}
    last = ""
    for line in lines:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0].isspace():
            if last:
                fields[last] += "\n" + line.strip()
        else:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()
    if fields:
        yield fields
