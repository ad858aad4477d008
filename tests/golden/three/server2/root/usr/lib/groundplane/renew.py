"""Runs on a control plane: judges every certificate that kubeadm made there, and renews those that aren't good or have
lived two thirds of their life.

``look`` prints a line for each fault, ``renew`` mends them, ``mend`` those by which a certificate is of no use. kubeadm
makes all of the machine's certificates once more, in memory, signed with the authorities' keys that every control plane
has; those that are due take the place of what is there. Nothing takes a place that wouldn't be judged good.

API servers and etcd read their certificates anew while they run (client-go's transport.go, etcd's listener.go), so
nobody is interrupted, and no control plane has to wait for another: not even where all of them stand still because
everything is over. Controller manager and scheduler keep what is in their kubeconfigs and are started anew; so is an
API server that isn't ready, which nobody misses. What has yet to be started anew stands in RUN, so a run that was cut
off is finished by the next.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

KUBERNETES = Path("/etc/kubernetes")
CURRENT = Path("/var/lib/kubelet/pki/kubelet-client-current.pem")
INIT = Path("/etc/groundplane/kubeadm/init.yaml")
RUN = Path("/run/groundplane/renewal")
KUBEADM_UNIT = "groundplane-kubeadm"

PART = 2 / 3
"""Of its life, after which a certificate is renewed."""
GRACE = 20
"""Seconds a server gets to end by itself. An API server serves on for five of them, and lets its watches go then."""
PATIENCE = 10
"""Seconds an API server gets to take up what it reads."""

ETCD, KUBELET = "etcd", "kubelet"
API, CONTROLLERS, SCHEDULER = "kube-apiserver", "kube-controller-manager", "kube-scheduler"


@dataclass(frozen=True)
class Credential:
    """A certificate and its key: two files below KUBERNETES, or a kubeconfig.

    ``pod`` is the static pod that can't do without it: while its manifest is there, so must this be. ``reader`` has to
    be started anew to take it up. ``names`` says which of the wanted names it must bear. ``itself``: its owner renews
    it before it ends, so only what that can't mend is a fault.
    """

    path: str
    authority: str
    pod: str
    reader: str = ""
    names: str = ""
    itself: bool = False


AUTHORITIES = ("ca", "front-proxy-ca", "etcd/ca")
OWN = Credential("kubelet.conf", "ca", ETCD, KUBELET, itself=True)
CREDENTIALS = (
    Credential("pki/apiserver", "ca", API, names="apiserver"),
    Credential("pki/apiserver-kubelet-client", "ca", API),
    Credential("pki/apiserver-etcd-client", "etcd/ca", API),
    Credential("pki/front-proxy-client", "front-proxy-ca", API),
    Credential("pki/etcd/server", "etcd/ca", ETCD, names="etcd"),
    Credential("pki/etcd/peer", "etcd/ca", ETCD, names="etcd"),
    Credential("pki/etcd/healthcheck-client", "etcd/ca", ETCD),
    Credential("admin.conf", "ca", API),
    Credential("controller-manager.conf", "ca", CONTROLLERS, CONTROLLERS),
    Credential("scheduler.conf", "ca", SCHEDULER, SCHEDULER),
    OWN,
)


class Failed(Exception):
    """It couldn't be done; says what and why."""


@dataclass(frozen=True)
class Wanted:
    """What the machine is told: its API server's address, and the names each kind of certificate bears.

    ``authorities`` are their certificates, and their ``keys``, by what kubeadm calls them; those on the disk, where the
    machine isn't told (PEM).
    """

    api: str
    names: Mapping[str, Sequence[str]]
    authorities: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def authority(self, name: str) -> str:
        return self.authorities.get(name) or (KUBERNETES / "pki" / f"{name}.crt").read_text()

    def key(self, name: str) -> str:
        return self.keys.get(name) or (KUBERNETES / "pki" / f"{name}.key").read_text()


@dataclass(frozen=True)
class Seen:
    """A certificate as openssl reads it; ``signed`` by its authority, ``fits`` its key, ``trusts`` the authority."""

    begins: datetime
    ends: datetime
    names: frozenset[str]
    signed: bool
    fits: bool
    trusts: bool = True


@dataclass(frozen=True)
class Fault:
    """Why a certificate is to be renewed. ``broken``: it doesn't do what it is for any more."""

    words: str
    broken: bool = True


def fault(seen: Seen | None, names: Iterable[str], now: datetime, *, itself: bool = False) -> Fault | None:
    """What speaks for a renewal; None where nothing does. A clock that is behind is none of the certificate's."""
    if seen is None:
        return Fault("is missing, or can't be read")
    if seen.ends <= now:
        return Fault(f"ended at {seen.ends:%Y-%m-%d %H:%M:%S} UTC")
    if not seen.signed:
        return Fault("isn't of the platform's authority")
    if not seen.trusts:
        return Fault("trusts another authority than the platform's")
    if not seen.fits:
        return Fault("has another key")
    if lacking := sorted({_name(name) for name in names} - seen.names):
        return Fault(f"isn't made out to {', '.join(lacking)}")
    if not itself and now >= seen.begins + PART * (seen.ends - seen.begins):
        return Fault(f"ends at {seen.ends:%Y-%m-%d %H:%M:%S} UTC, two thirds of its life are over", broken=False)
    return None


def _name(text: str) -> str:
    """A name, or an address in one way of writing."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


# -- reading ---------------------------------------------------------------------------------------------------------


def call(*argv: str, stdin: bytes = b"", timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
    """Run a program; its status says how it ended."""
    environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False, env=environment)


def embedded(kubeconfig: bytes, part: str) -> bytes:
    """What a kubeconfig holds of ``part`` (as ``client-key``); empty where it names a file, or nothing."""
    found = re.search(rf"^\s*{part}-data: *(\S+)".encode(), kubeconfig, re.MULTILINE)
    return b64decode(found[1]) if found else b""


def pair(credential: Credential, folder: Path) -> bytes:
    """The certificate and its key, one after the other; empty where there is neither."""
    path = folder / credential.path
    if path.suffix == ".conf":
        if not path.exists():
            return b""
        if credential is OWN and folder == KUBERNETES and CURRENT.exists():
            return CURRENT.read_bytes()
        content = path.read_bytes()
        return embedded(content, "client-certificate") + embedded(content, "client-key")
    files = [path.with_name(f"{path.name}.{ending}") for ending in ("crt", "key")]
    return b"\n".join(file.read_bytes() for file in files if file.exists())


def read(credential: Credential, folder: Path, authority: str) -> Seen | None:
    """What lies in ``folder``, judged by the authority's certificate; None where it can't be read."""
    both = pair(credential, folder)
    shown = call("openssl", "x509", "-noout", "-startdate", "-enddate", "-ext", "subjectAltName", stdin=both)
    text = shown.stdout.decode(errors="replace")
    dates = dict(re.findall(r"^not(Before|After)=(.*)$", text, re.MULTILINE))
    if len(dates) < 2:
        return None
    with tempfile.NamedTemporaryFile(dir="/run") as file:  # in memory
        file.write(authority.encode())
        file.flush()
        trusted = ("-CAfile", file.name, "-no-CApath", "-no-CAstore")
        signed = call("openssl", "verify", "-no_check_time", *trusted, stdin=both).returncode == 0
    path = folder / credential.path
    kubeconfig = path.read_bytes() if path.suffix == ".conf" else b""
    return Seen(
        begins=_moment(dates["Before"]),
        ends=_moment(dates["After"]),
        names=frozenset(_name(name) for name in re.findall(r"(?:DNS|IP Address):([^,\s]+)", text)),
        signed=signed,
        fits=_fit(both),
        trusts=not kubeconfig or embedded(kubeconfig, "certificate-authority").split() == authority.encode().split(),
    )


def _fit(both: bytes) -> bool:
    """Whether the key is the certificate's."""
    with tempfile.NamedTemporaryFile(dir="/run") as file:
        file.write(both)
        file.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(file.name, password="")
        except OSError:
            return False
    return True


def _moment(text: str) -> datetime:
    return datetime.strptime(text.strip(), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


def judged(credential: Credential, folder: Path, wanted: Wanted) -> Fault | None:
    seen = read(credential, folder, wanted.authority(credential.authority))
    names = wanted.names.get(credential.names, ())
    return fault(seen, names, datetime.now(UTC), itself=credential.itself)


def faults(wanted: Wanted) -> dict[Credential, Fault]:
    """What is to be renewed of what is there, and of what must be. Before kubeadm began, that is nothing."""
    found = {}
    for credential in CREDENTIALS:
        needed = (KUBERNETES / "manifests" / f"{credential.pod}.yaml").exists()
        if (needed or pair(credential, KUBERNETES)) and (why := judged(credential, KUBERNETES, wanted)):
            found[credential] = why
    return found


def waiting() -> list[str]:
    """What has yet to be started anew."""
    return [reader for reader in (KUBELET, CONTROLLERS, SCHEDULER) if (RUN / reader).exists()]


# -- making ----------------------------------------------------------------------------------------------------------


def make(wanted: Wanted, folder: Path) -> None:
    """Have kubeadm make all of the machine's certificates and kubeconfigs in ``folder``."""
    pki = folder / "pki"
    (pki / "etcd").mkdir(parents=True)
    for name in AUTHORITIES:
        (pki / f"{name}.crt").write_text(wanted.authority(name))
        key = pki / f"{name}.key"
        key.touch(mode=0o600)
        key.write_text(wanted.key(name))
    config = folder / "init.yaml"
    config.write_text(re.sub(r"(?m)^certificatesDir:.*$", f"certificatesDir: {pki}", INIT.read_text()))
    for phase in (("certs", "all"), ("kubeconfig", "all", f"--kubeconfig-dir={folder}")):
        done = call("/usr/local/bin/kubeadm", "init", "phase", *phase, f"--config={config}")
        if done.returncode != 0:
            raise Failed(f"kubeadm makes no certificates: {done.stderr.decode(errors='replace').strip()}")


def better(due: Mapping[Credential, Fault], folder: Path, wanted: Wanted) -> list[Credential]:
    """Those of ``due`` that ``folder`` has something better for. Failed where what was made wouldn't be good."""
    found = []
    for credential, why in due.items():
        if (wrong := judged(credential, folder, wanted)) and wrong.broken:
            raise Failed(f"{credential.path} {why.words}, and the one made now {wrong.words}")
        if why.broken or _longer(credential, folder, wanted):
            found.append(credential)
    return found


def _longer(credential: Credential, folder: Path, wanted: Wanted) -> bool:
    """Whether the new one lasts longer: near the authority's own end it doesn't, and nothing would be won."""
    authority = wanted.authority(credential.authority)
    new, old = read(credential, folder, authority), read(credential, KUBERNETES, authority)
    return new is not None and (old is None or new.ends - old.ends > timedelta(days=1))


def install(credential: Credential, folder: Path) -> None:
    """Put it in its place, whole at every moment, after writing down who has to take it up."""
    if credential.reader:
        (RUN / credential.reader).touch()
    new, place_ = folder / credential.path, KUBERNETES / credential.path
    if credential is OWN:
        # As kubeadm leaves it in the end: the kubeconfig names the certificate that the kubelet renews.
        stamped = CURRENT.with_name(time.strftime("kubelet-client-%Y-%m-%d-%H-%M-%S.pem", time.gmtime()))
        stamped.parent.mkdir(parents=True, exist_ok=True)
        place(stamped, pair(credential, folder))
        link = CURRENT.with_name("kubelet-client-current.new")
        link.unlink(missing_ok=True)
        link.symlink_to(stamped)
        link.replace(CURRENT)
        named = re.sub(rb"(client-(?:certificate|key))-data: *\S+", rb"\1: " + bytes(CURRENT), new.read_bytes())
        place(place_, named)
    elif new.suffix == ".conf":
        place(place_, new.read_bytes())
    else:
        for ending in ("key", "crt"):
            name = f"{new.name}.{ending}"
            place(place_.with_name(name), new.with_name(name).read_bytes())


def place(path: Path, content: bytes) -> None:
    """Write ``path`` in one move. It keeps its owner and mode; a new one is for its owner alone. What etcd itself reads
    its user reads as a member of the owner's group (kubeadm/etcd_leaves.py)."""
    new = not path.exists()
    like = (path.parent if new else path).stat()
    mode = like.st_mode & 0o777
    if new:
        mode = 0o640 if path.parent.name == "etcd" and path.stem in ("server", "peer") else 0o600
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


# -- taking up -------------------------------------------------------------------------------------------------------


def containers(pod: str) -> list[str]:
    """The running containers of a static pod."""
    labels = f'labels."io.kubernetes.container.name"=={pod},labels."io.kubernetes.pod.namespace"==kube-system'
    known = call("ctr", "--namespace=k8s.io", "containers", "list", "--quiet", labels).stdout.decode().split()
    tasks = call("ctr", "--namespace=k8s.io", "tasks", "list").stdout.decode().splitlines()
    running = {fields[0] for fields in map(str.split, tasks) if fields[-1:] == ["RUNNING"]}
    return [container for container in known if container in running]


def stop(pod: str) -> None:
    """End a static pod's containers: the kubelet starts them again."""
    before = containers(pod)
    for signal in ("SIGTERM", "SIGKILL"):
        for container in before:
            call("ctr", "--namespace=k8s.io", "tasks", "kill", "--signal", signal, container)
        end = time.monotonic() + GRACE
        while set(before) & set(containers(pod)):
            if time.monotonic() > end:
                break
            time.sleep(0.2)
        else:
            return
    raise Failed(f"{pod} doesn't end")


def ready(wanted: Wanted) -> bool:
    """Whether the machine's own API server is, with a certificate that clients trust."""
    trust = ssl.create_default_context(cadata=wanted.authority("ca"))
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    try:
        with direct.open(f"{wanted.api}/readyz", timeout=4) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def take_up(wanted: Wanted) -> None:
    """Start anew what reads what was renewed at its start alone, and an API server that doesn't come to itself.

    With the latter its kubelet, too: what ended again and again isn't made to wait longer and longer then.
    """
    for reader in waiting():
        if reader == KUBELET:
            call("systemctl", "restart", "kubelet")
        else:
            stop(reader)
        (RUN / reader).unlink()
        print(f"{reader}: started anew", flush=True)
    end = time.monotonic() + PATIENCE
    while not ready(wanted):
        if time.monotonic() > end:
            stop(API)
            call("systemctl", "restart", "kubelet")
            print(f"{API}: was not ready, started anew", flush=True)
            return
        time.sleep(1)


@contextmanager
def alone() -> Iterator[bool]:
    """Wait until no other run of this is at work on the machine; whether no kubeadm is, either."""
    RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = call("systemctl", "is-active", KUBEADM_UNIT).stdout.decode().strip()
        yield state not in ("active", "activating", "deactivating")


# -- the commands ----------------------------------------------------------------------------------------------------


def look(wanted: Wanted) -> None:
    for credential, why in faults(wanted).items():
        print(f"{credential.path} {why.words}")
    for reader in waiting():
        print(f"{reader} has yet to take up its new certificate")


def mend(wanted: Wanted) -> None:
    renew(wanted, all_due=False)


def renew(wanted: Wanted, *, all_due: bool = True) -> None:
    with alone() as free:
        if not free:
            print("not now: kubeadm is at work")
            return
        due = {credential: why for credential, why in faults(wanted).items() if all_due or why.broken}
        if not due and not waiting():
            return
        with tempfile.TemporaryDirectory(dir=RUN) as made:
            make(wanted, Path(made))
            for credential in better(due, Path(made), wanted):
                print(f"{credential.path}: renewed, for it {due[credential].words}", flush=True)
                install(credential, Path(made))
        take_up(wanted)


def main() -> None:
    command, *file = sys.argv[1:]
    wanted = Wanted(**json.loads(Path(file[0]).read_text() if file else sys.stdin.read()))
    try:
        {"look": look, "renew": renew, "mend": mend}[command](wanted)
    except Failed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
