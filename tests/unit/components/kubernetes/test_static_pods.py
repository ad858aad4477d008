"""Static pods: what differs is seen and told, and what takes the old ones' place is well or taken back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from groundplane.components.cluster import paths
from groundplane.components.cluster.names import STATIC_PODS
from groundplane.components.kubeadm import static_pods
from groundplane.components.kubeadm.remote import static_pods as remote
from groundplane.components.kubeadm.static_pods import Pods, diff, groups, words
from groundplane.errors import StepError
from groundplane.state.step import Completed
from groundplane.topology.model import Topology

Run = Callable[[Awaitable[Any]], Any]

MANIFEST = """\
spec:
  containers:
  - command:
    - {name}
    - --flag=1{more}
    livenessProbe:
      httpGet: {{host: 127.0.0.1, path: /livez, port: probe-port, scheme: HTTPS}}
    ports:
    - {{containerPort: 10259, name: probe-port}}
  securityContext: {{runAsUser: {user}, runAsGroup: {user}}}
"""
BEGINNING = "\n    - --initial-cluster=cp1=https://10.80.0.21:2380,cp2=https://10.80.0.22:2380"


def manifest(name: str, more: str = "", user: int = 0) -> str:
    return MANIFEST.format(name=name, more=more, user=user)


WANTED = {name: manifest(name) for name in STATIC_PODS}


def pods(there: dict[str, str] | None = None, **others: Any) -> Pods:
    return Pods(WANTED, {**WANTED, **(there or {})}, others.get("kept", {}), others.get("unreadable", ()))


def test_what_is_as_wanted_does_not_differ() -> None:
    assert (pods().differing, words(pods()), diff(pods())) == ((), "", "")


def test_what_differs_is_told_flag_by_flag() -> None:
    seen = pods({"kube-apiserver": manifest("kube-apiserver", "\n    - --old=1")})
    assert seen.differing == ("kube-apiserver",)
    changed = [line for line in diff(seen).splitlines() if line.startswith(("-", "+"))]
    assert changed == [
        f"--- {paths.MANIFESTS}/kube-apiserver.yaml (there)",
        f"+++ {paths.MANIFESTS}/kube-apiserver.yaml (wanted)",
        "-    - --old=1",
    ]


def test_how_an_etcd_began_stays_its_own() -> None:
    """kubeadm would write a beginning of a cluster of one."""
    own = "\n    - --initial-cluster=cp2=https://10.80.0.22:2380"
    joined = BEGINNING + "\n    - --initial-cluster-state=existing"
    there = manifest("etcd", joined)
    seen = Pods({**WANTED, "etcd": manifest("etcd", own)}, {**WANTED, "etcd": there}, {}, ())
    assert seen.target("etcd") == there
    assert seen.differing == ()
    changed = Pods({**WANTED, "etcd": manifest("etcd", own, user=379)}, {**WANTED, "etcd": there}, {}, ())
    assert changed.target("etcd") == manifest("etcd", joined, user=379)


def test_what_was_cut_off_or_cannot_be_read_is_brought_about_too() -> None:
    seen = pods(kept={"kube-scheduler": "old"}, unreadable=("/server.key",))
    assert seen.differing == ("etcd", "kube-scheduler")
    assert "kube-scheduler: a change was cut off" in words(seen)
    assert "/server.key" in words(seen)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("etcd",), [("kube-apiserver", "etcd")]),
        (("kube-apiserver", "kube-scheduler"), [("kube-apiserver",), ("kube-scheduler",)]),
        (("kube-scheduler",), [("kube-scheduler",)]),
    ],
)
def test_an_api_server_stops_before_its_etcd(names: tuple[str, ...], wanted: list[tuple[str, ...]]) -> None:
    assert groups(names) == wanted


def test_a_pod_is_known_by_its_command_and_asked_where_it_says(topology: Topology) -> None:
    described = static_pods._described(manifest("kube-scheduler", user=379))
    assert described["command"] == ["kube-scheduler", "--flag=1"]
    assert described["url"] == "https://127.0.0.1:10259/livez"
    assert described["user"] == [379, 379]
    assert static_pods._described("{nonsense")["url"] == ""


class Machine:
    """Answers what ``remote/static_pods.py`` would."""

    def __init__(self, seen: dict[str, Any], problem: dict[str, Any] | None = None) -> None:
        self.seen, self.problem = seen, problem or {"problem": ""}
        self.asked: list[dict[str, Any]] = []
        self.argv: list[Sequence[str]] = []

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        if argv[0] == "etcdctl":
            return Completed(0, b'{"members": []}', b"")
        request = json.loads(stdin)
        self.asked.append(request)
        self.argv.append(argv)
        answer = self.seen if request["do"] == "look" else self.problem
        return Completed(0, json.dumps(answer).encode(), b"")


def found(**there: str) -> dict[str, Any]:
    there = {name.replace("_", "-"): text for name, text in there.items()}
    return {"wanted": WANTED, "there": {**WANTED, **there}, "kept": {}, "unreadable": []}


def test_what_differs_is_asked_for_with_what_was_there(topology: Topology, run: Run) -> None:
    old = manifest("kube-apiserver", "\n    - --old=1")
    machine = Machine(found(kube_apiserver=old))
    run(static_pods.bring(machine, topology, topology.machine("cp2")))
    looked, brought = machine.asked
    assert "10.80.0.22" in looked["config"]
    assert "etcd+strategic.yaml" in looked["patches"]
    ((pod,),) = brought["groups"]
    assert (pod["name"], pod["new"]["text"], pod["old"]["text"]) == ("kube-apiserver", WANTED["kube-apiserver"], old)
    assert machine.argv[1][0] == "systemd-run", "it goes on where we are cut off"
    assert "$" not in static_pods._PROGRAM, "systemd would put a variable in its place"


def test_a_failure_tells_the_components_words_and_what_is_there_now(topology: Topology, run: Run) -> None:
    said = "kube-apiserver ends again and again: Error: unknown flag: --nonsense"
    machine = Machine(found(kube_apiserver="x"), {"problem": said, "put_back": True})
    with pytest.raises(StepError) as back:
        run(static_pods.bring(machine, topology, topology.machine("cp1")))
    assert back.value.what == said
    assert "is back in place" in back.value.hint
    machine.problem = {"problem": said, "put_back": False, "worse": "nor does it"}
    with pytest.raises(StepError) as worse:
        run(static_pods.bring(machine, topology, topology.machine("cp1")))
    assert worse.value.detail == "nor does it"


# -- on the machine ------------------------------------------------------------------------------------------------


class Kubelet:
    """Runs whatever manifests lie there. ``ill`` are texts of manifests that run and aren't well, ``ends`` of those
    that end at once."""

    def __init__(self, folder: Path) -> None:
        self.manifests, self.kept, self.logs = folder / "manifests", folder / "kept", folder / "logs"
        self.manifests.mkdir()
        self.ill: set[str] = set()
        self.ends: set[str] = set()
        self.started: list[str] = []
        self.given: list[tuple[int, int]] = []
        self.dead = False
        self._running: dict[str, str] = {}
        self._tries = 0

    def lay(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.manifests / f"{name}.yaml").write_text(text)

    def there(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self.manifests.glob("[!.]*.yaml")}

    def commands(self) -> Iterator[list[str]]:
        there = self.there() if not self.dead else self._running
        for name, text in there.items():
            if self._running.get(name) != text:
                self.started.append(text)
            if text in self.ends:
                self._tries += 1
                log = self.logs / f"kube-system_{name}-cp1_0a" / name / f"{self._tries}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text("2026-01-02T03:04:05Z stderr F Error: unknown flag\n")
        self._running = dict(there)
        yield from ([text] for text in there.values() if text not in self.ends)

    def answer(self, url: str) -> str:
        return f"{url} answers 500" if url in self.ill else ""


class Clock:
    """Time that passes when somebody sleeps."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def kubelet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubelet:
    here = Kubelet(tmp_path)
    monkeypatch.setattr(remote, "commands", here.commands)
    monkeypatch.setattr(remote, "answer", here.answer)
    monkeypatch.setattr(remote, "give", lambda folder, *owner: here.given.append(owner))
    monkeypatch.setattr(remote, "LOGS", here.logs)
    monkeypatch.setattr(remote, "PODS", tmp_path / "pods")
    monkeypatch.setattr(remote, "time", Clock())
    return here


def request(kubelet: Kubelet, *groups: list[dict[str, Any]]) -> dict[str, Any]:
    return {"manifests": str(kubelet.manifests), "kept": str(kubelet.kept), "groups": groups}


def one(name: str, new: str, old: str | None, data: str = "") -> dict[str, Any]:
    def described(text: str) -> dict[str, Any]:
        return {"text": text, "command": [text], "url": text, "user": [379, 379] if text == new else [0, 0]}

    return {
        "name": name,
        "new": described(new),
        "old": described(old) if old is not None else None,
        "data": data,
        "readable": [],
    }


def test_the_new_takes_the_place_of_the_old(kubelet: Kubelet) -> None:
    kubelet.lay(a="old a", b="old b")
    assert remote.bring(request(kubelet, [one("a", "new a", "old a")], [one("b", "new b", "old b")])) == {"problem": ""}
    assert kubelet.there() == {"a": "new a", "b": "new b"}
    assert not list(kubelet.kept.glob("*.yaml"))


def test_what_leans_on_another_starts_after_it_and_data_changes_hands_meanwhile(
    kubelet: Kubelet, tmp_path: Path
) -> None:
    kubelet.lay(api="api", etcd="old")
    list(kubelet.commands())
    kubelet.started.clear()
    remote.bring(request(kubelet, [one("api", "api", "api"), one("etcd", "new", "old", data=str(tmp_path))]))
    assert kubelet.started == ["new", "api"]
    assert kubelet.given == [(379, 379)]


@pytest.mark.parametrize("how", ["ill", "ends"])
def test_one_that_does_not_get_well_is_taken_back_with_those_beside_it(
    kubelet: Kubelet, tmp_path: Path, how: str
) -> None:
    getattr(kubelet, how).add("new")
    kubelet.lay(api="api", etcd="old")
    group = [one("api", "newer api", "api"), one("etcd", "new", "old", data=str(tmp_path))]
    answer = remote.bring(request(kubelet, group, [one("c", "never", None)]))
    assert answer["put_back"] is True
    assert ("unknown flag" in answer["problem"]) is (how == "ends")
    assert kubelet.there() == {"api": "api", "etcd": "old"}, "and what comes after isn't touched"
    assert kubelet.given == [(379, 379), (0, 0)]
    assert not list(kubelet.kept.glob("*.yaml"))


def test_what_is_back_and_not_well_is_told_and_kept(kubelet: Kubelet) -> None:
    kubelet.ill |= {"new", "old"}
    kubelet.lay(a="old")
    answer = remote.bring(request(kubelet, [one("a", "new", "old")]))
    assert (answer["put_back"], "old answers 500" in answer["worse"]) == (False, True)
    assert (kubelet.kept / "a.yaml").read_text() == "old"


def test_what_a_run_that_was_cut_off_kept_is_not_lost(kubelet: Kubelet) -> None:
    """The manifest that lies there then was never seen to be well."""
    kubelet.kept.mkdir()
    (kubelet.kept / "a.yaml").write_text("old")
    kubelet.lay(a="half-way")
    kubelet.ill.add("new")
    remote.bring(request(kubelet, [one("a", "new", "old")]))
    assert kubelet.there() == {"a": "old"}


def test_a_kubelet_that_stands_still_is_told(kubelet: Kubelet) -> None:
    kubelet.lay(a="old")
    list(kubelet.commands())
    kubelet.dead = True
    answer = remote.bring(request(kubelet, [one("a", "new", "old")]))
    assert "does the kubelet run?" in answer["problem"]
    assert (kubelet.there(), answer["put_back"]) == ({"a": "old"}, True)


def test_files_are_placed_whole_and_for_root_alone(tmp_path: Path) -> None:
    remote.place(tmp_path / "a.yaml", "text")
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [("a.yaml", 0o600)]


def test_last_words_are_the_components_own(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("".join(f"2026-01-02T03:04:05Z stderr F line {number}\n" for number in range(9)))
    assert remote.last_words(log) == "line 6 line 7 line 8"
    (tmp_path / "1.log").touch()
    assert remote.said([log, tmp_path / "1.log"]) == remote.last_words(log)
    assert remote.said([]) == ""


def test_kubeadm_is_asked_once_for_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "KUBEADM", tmp_path / "kubeadm")
    (tmp_path / "kubeadm").write_text("one")
    made: list[str] = []

    def rendered(config: str, *_: object) -> dict[str, str]:
        made.append(config)
        return {"etcd": config}

    monkeypatch.setattr(remote, "rendered", rendered)
    asked = {"config": "a", "patches": {}, "folder": "/p", "kept": str(tmp_path / "kept")}
    for config in ("a", "a", "b"):
        assert remote.remembered({**asked, "config": config}) == {"etcd": config}
    (tmp_path / "kubeadm").write_text("another")
    assert remote.remembered({**asked, "config": "b"}) == {"etcd": "b"}
    (tmp_path / "kept" / "rendered.json").write_text("{")
    remote.remembered({**asked, "config": "b"})
    assert made == ["a", "b", "b", "b"]
