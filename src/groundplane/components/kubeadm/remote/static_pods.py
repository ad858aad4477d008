"""Runs on a control plane: looks at its static pods, and puts others in their place.

``look`` changes nothing that anybody runs: kubeadm writes what it would lay into a folder of its own. ``bring`` takes
the old manifests out, waits until nothing of them runs, puts the new ones in, and waits until those are well. Manifests
with which one doesn't get well are taken out again, and those that were there put back. These are kept from before
anything is touched until the new ones are well, so that a run that was cut off can be finished, or still undone, by
another one.

Reads its request from standard input and prints its answer, both JSON. What a look mostly does without is imported
where it is used: that takes longer than the look.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

KUBEADM = Path("/usr/local/bin/kubeadm")
RUN = Path("/run")
LOGS = Path("/var/log/pods")
PODS = Path("/var/lib/kubelet/pods")
PROCESSES = Path("/proc")

STOPS = 60.0  # seconds; the kubelet kills what doesn't end within 30
FORGETS = 15.0  # seconds in which the kubelet clears away what was a pod; it looks every two
WELL = 180.0  # seconds a new one may take
TRIES = 2  # one that ended as often by itself won't get well
EVERY = 0.2
LINES = 3  # of its last words

PHASES = (("control-plane", "all"), ("etcd", "local"))


class Unwell(Exception):
    """What one of them says, or is seen to do, instead of being well."""


# -- looking -------------------------------------------------------------------------------------------------------


def look(request: dict[str, Any]) -> dict[str, Any]:
    """What kubeadm would lay, what lies there, what a run that was cut off has kept, and which of the files that etcd
    needs its group can't read."""
    names = request["names"]
    return {
        "wanted": remembered(request),
        "there": texts(Path(request["manifests"]), names),
        "kept": texts(Path(request["kept"]), names),
        "unreadable": [path for path in request["readable"] if os.path.exists(path) and not readable(path)],
    }


def remembered(request: dict[str, Any]) -> dict[str, str]:
    """What kubeadm makes of it, which it is asked for only where the request or kubeadm itself is another one than the
    last time."""
    asked = [KUBEADM.stat().st_size, KUBEADM.stat().st_mtime_ns, request["config"], request["patches"]]
    digest = sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    place_of = Path(request["kept"]) / "rendered.json"
    with suppress(OSError, ValueError):
        known = json.loads(place_of.read_text())
        if known["of"] == digest:
            return dict(known["manifests"])
    manifests = rendered(request["config"], request["patches"], request["folder"])
    place_of.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place(place_of, json.dumps({"of": digest, "manifests": manifests}))
    return manifests


def rendered(config: str, patches: dict[str, str], folder: str) -> dict[str, str]:
    """The manifests kubeadm makes of ``config``, by name; ``folder`` is where that says the patches are."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(dir=RUN) as name:
        place = Path(name)
        (place / "patches").mkdir()
        for patch, text in patches.items():
            (place / "patches" / patch).write_text(text)
        file = place / "config.yaml"
        file.write_text(config.replace(folder, str(place / "patches")))
        environment = {**os.environ, "KUBEADM_INIT_DRYRUN_DIR": str(place / "manifests")}
        for phase in PHASES:
            argv = [str(KUBEADM), "init", "phase", *phase, f"--config={file}", "--dry-run"]
            done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60, check=False)
            if done.returncode:
                sys.exit(done.stderr.strip() or f"kubeadm ended with {done.returncode}")
        return {path.stem: path.read_text() for path in (place / "manifests").glob("*.yaml")}


def texts(folder: Path, names: list[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with suppress(FileNotFoundError):
            found[name] = (folder / f"{name}.yaml").read_text(errors="replace")
    return found


def readable(path: str) -> bool:
    """Whether root's group can read it, and nobody else but root."""
    seen = os.stat(path)
    return (seen.st_uid, seen.st_gid) == (0, 0) and stat.S_IMODE(seen.st_mode) & 0o077 == 0o040


# -- bringing ------------------------------------------------------------------------------------------------------


class Pod:
    """One static pod: what it is to be, and what it was. Either is None, or its manifest's text with the command, the
    address that tells whether it is well, and the user (and group) that ``data`` has to belong to."""

    def __init__(self, request: dict[str, Any], of: dict[str, Any]) -> None:
        self.name: str = of["name"]
        self.new: dict[str, Any] = of["new"]
        self.old: dict[str, Any] | None = of["old"]
        self.data: str = of["data"]
        self.files: list[str] = of["readable"]
        self.manifest = Path(request["manifests"]) / f"{self.name}.yaml"
        self.kept = Path(request["kept"]) / f"{self.name}.yaml"
        self.left: list[Path] = []

    def keep(self) -> None:
        """Have what was there on disk. What an earlier run kept was the last that is known to have been well."""
        if self.old is not None and not self.kept.exists():
            place(self.kept, self.old["text"])

    def stop(self) -> None:
        """Take it out, and wait until nothing of it runs."""
        self.left = self._folders()
        self.manifest.unlink(missing_ok=True)
        if not until(lambda: not self._running(), STOPS):
            raise Unwell(f"{self.name} doesn't end although its manifest is gone: does the kubelet run?")

    def start(self, what: dict[str, Any]) -> None:
        """Put it in and wait until it is well; Unwell where it doesn't get so.

        As long as the kubelet knows the one before, it would let another one of its name wait for ten seconds and more.
        """
        until(lambda: not any(folder.exists() for folder in self.left), FORGETS)
        if self.data and os.path.isdir(self.data):
            give(Path(self.data), *what["user"])
        for path in filter(os.path.exists, self.files):
            os.chown(path, 0, 0)
            os.chmod(path, 0o640)
        logs = set(self._logs())
        place(self.manifest, what["text"])
        if not what["url"]:
            return  # nobody knows how one tells, where it wasn't kubeadm that wrote it
        seen = ""

        def well() -> bool:
            nonlocal seen
            running = any(command == what["command"] for command in commands())
            tried = [log for log in self._logs() if log not in logs]
            if len(tried) - running >= TRIES:
                raise Unwell(f"{self.name} ends again and again: {said(tried)}")
            seen = answer(what["url"]) if running else f"it doesn't run. {said(tried)}"
            return not seen

        if not until(well, WELL):
            raise Unwell(f"{self.name} isn't well after {WELL:.0f} s: {seen}")

    def _running(self) -> bool:
        ours = [what["command"] for what in (self.old, self.new) if what and what["command"]]
        return any(command in ours for command in commands())

    def _folders(self) -> list[Path]:
        """Where the kubelet has it. A static pod's number is a digest, without the hyphens of all others."""
        return [path.parents[1] for path in PODS.glob(f"*/containers/{self.name}") if "-" not in path.parents[1].name]

    def _logs(self) -> list[Path]:
        """The log of every time it was started, the newest last."""
        found = []
        for log in LOGS.glob(f"kube-system_{self.name}-*/{self.name}/*.log"):
            with suppress(OSError):
                found.append((log.stat().st_mtime, log))
        return [log for _, log in sorted(found)]


def bring(request: dict[str, Any]) -> dict[str, Any]:
    """Bring each group about, one after the other. A group's pods lean on the ones named after them: they stop in the
    order named, and start in the opposite one."""
    lock = Path(request["kept"])
    lock.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (lock / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for group in request["groups"]:
            answer = exchange([Pod(request, of) for of in group])
            if answer["problem"]:
                return answer
    return {"problem": ""}


def exchange(pods: list[Pod]) -> dict[str, Any]:
    """Put the new ones in the place of the old ones; what went wrong, after the old ones were put back."""
    for pod in pods:
        pod.keep()
    try:
        for pod in pods:
            pod.stop()
        for pod in reversed(pods):
            pod.start(pod.new)
    except Unwell as unwell:
        try:
            put_back(pods)
        except Unwell as worse:
            return {"problem": str(unwell), "put_back": False, "worse": str(worse)}
        for pod in pods:
            pod.kept.unlink(missing_ok=True)
        return {"problem": str(unwell), "put_back": True}
    for pod in pods:
        pod.kept.unlink(missing_ok=True)
    return {"problem": ""}


def put_back(pods: list[Pod]) -> None:
    for pod in pods:
        with suppress(Unwell):  # what can't be stopped may be the old one, which then goes on
            pod.stop()
    for pod in reversed(pods):
        if pod.old is not None:
            pod.start(pod.old)


def until(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(EVERY)
    return True


def commands() -> Iterator[list[str]]:
    """The command line of every process."""
    for process in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            yield (process / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]


def place(path: Path, text: str) -> None:
    """Put ``text`` at ``path``, whole or not at all. The kubelet takes no notice of names that begin with a dot."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def give(folder: Path, user: int, group: int) -> None:
    """Have ``folder`` and all in it belong to ``user`` and ``group``. Nothing writes there meanwhile."""
    os.chown(folder, user, group)
    for path in folder.rglob("*"):
        os.chown(path, user, group, follow_symlinks=False)


def answer(url: str) -> str:
    """What ``url`` says instead of being well; empty where it is."""
    import ssl
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPSHandler, ProxyHandler, build_opener

    # Its certificate may be one it made itself, and what is asked is on this machine.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with build_opener(ProxyHandler({}), HTTPSHandler(context=context)).open(url, timeout=5):
            return ""
    except HTTPError as error:
        said = [line for line in error.read().decode(errors="replace").splitlines() if line.startswith("[-]")]
        return f"{url} answers {error.code}" + (f": {', '.join(said)}" if said else "")
    except (URLError, OSError) as error:
        return f"{url}: {getattr(error, 'reason', error)}"


def said(logs: list[Path]) -> str:
    """The last words there are in ``logs``: the newest may have none yet."""
    return next((words for log in reversed(logs) if (words := last_words(log))), "")


def last_words(log: Path) -> str:
    """The end of a container's log, without what the runtime writes before each line: a time, a stream, a flag."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return " ".join(line.split(" ", 3)[-1].strip() for line in lines[-LINES:])


def main() -> None:
    request = json.load(sys.stdin)
    os.umask(0o077)
    print(json.dumps({"look": look, "bring": bring}[request["do"]](request)))


if __name__ == "__main__":
    main()
