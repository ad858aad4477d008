"""Each command asks the recipes for one thing, says what came of it in the right place, and ends as it should."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import a_status
from tests.unit.machines.scripted import Scripted

from groundplane.cli.foreign import split
from groundplane.errors import FileChanged, GroundplaneError, StoreError, UsageError
from groundplane.spec import InvalidCluster, Problem
from groundplane.spec.model import ClusterSpec
from groundplane.verify.report import Report, Result

BROKEN = Report(
    (
        Result("nodes", "all nodes are ready", True, "5 of 5", 1.5),
        Result("dns", "names are answered", False, "cp1: SERVFAIL", 30.2, "look at dnsmasq on the gateway"),
    ),
    changed=True,
)


def test_up_builds_and_says_so(gp: Any, recipes: Any) -> None:
    answer = gp("up", "-f", "lab.yaml", "--bundle-source", "modules")
    assert answer.code == 0
    assert answer.out.startswith("1 of 1 checks passed\nlab is up (")
    assert "cp1: boot: done after" in answer.err
    assert recipes.options.file == Path("lab.yaml")
    assert recipes.options.bundle_source == "modules"


def test_up_takes_images_of_the_users_own(gp: Any, recipes: Any) -> None:
    assert gp("up", "--extra-images", "mine", "--extra-images", "yours").code == 0
    assert recipes.options.extra_images == (Path("mine"), Path("yours"))


def test_up_that_changed_nothing_says_so(gp: Any, recipes: Any) -> None:
    recipes.report = Report((), changed=False)
    answer = gp("-q", "up")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("cluster is up; nothing had to be changed")


def test_up_with_failing_checks_fails(gp: Any, recipes: Any) -> None:
    recipes.report = BROKEN
    answer = gp("up")
    assert answer.code == 1
    assert "dns" in answer.out
    assert "all nodes are ready" not in answer.out
    assert "next: look at dnsmasq" in answer.out


@pytest.mark.parametrize(
    "words",
    [
        ("-f", "a.yaml", "--state-dir", "/s", "--cache-dir", "/c", "-q", "verify"),
        ("verify", "-f", "a.yaml", "--state-dir", "/s", "--cache-dir", "/c", "-q"),
        ("-f", "b.yaml", "-q", "--state-dir", "/s", "verify", "--file", "a.yaml", "--cache-dir", "/c"),
    ],
)
def test_shared_options_stand_before_or_after(gp: Any, recipes: Any, words: tuple[str, ...]) -> None:
    assert gp(*words).err == ""
    found = recipes.options
    assert (found.file, found.state_dir, found.cache_dir) == (Path("a.yaml"), Path("/s"), Path("/c"))


def test_the_file_comes_from_the_environment_last(gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gp("verify")
    assert recipes.options.file == Path("cluster.yaml")
    monkeypatch.setenv("GROUNDPLANE_FILE", "env.yaml")
    gp("verify")
    assert recipes.options.file == Path("env.yaml")
    gp("-f", "given.yaml", "verify")
    assert recipes.options.file == Path("given.yaml")


def test_verify_shows_each_check(gp: Any, recipes: Any) -> None:
    recipes.report = BROKEN
    answer = gp("verify", "nodes", "dns")
    assert recipes.asked == [("verify", ("nodes", "dns"))]
    assert answer.code == 1
    assert answer.out.splitlines() == [
        "✓  nodes  all nodes are ready  1.5 s",
        "    5 of 5",
        "✗  dns    names are answered   30 s",
        "    cp1: SERVFAIL",
        "    next: look at dnsmasq on the gateway",
        "1 of 2 checks passed",
    ]


def test_verify_as_json(gp: Any, recipes: Any) -> None:
    recipes.report = BROKEN
    answer = gp("verify", "--json")
    assert answer.code == 1
    document = json.loads(answer.out)
    assert document["schema"] == "groundplane/verify/v1"
    assert document["ok"] is False
    assert document["checks"][1] == {
        "name": "dns",
        "title": "names are answered",
        "ok": False,
        "seen": "cp1: SERVFAIL",
        "seconds": 30.2,
        "remedy": "look at dnsmasq on the gateway",
        "asked": True,
    }


def test_status_shows_machines_and_what_they_are_together(gp: Any, recipes: Any) -> None:
    answer = gp("status")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "   MACHINE  ROLE           ADDRESS     POWER    MEMORY   KUBERNETES          ETCD       CERTIFICATES",
        "✓  lb1      balancer       10.80.0.11  running  100 MiB                                 until 2036-05-06",
        "✗  cp1      control-plane  10.80.0.21  running           v1.37.2, not ready  no answer  until 2035-01-02",
        "",
        "floating address    10.80.0.10 on lb1",
        "quorum              lb1: 3 of 3 votes",
        "Pacemaker's leader  lb1",
        "etcd's leader       unknown; `groundplane verify etcd` tells why",
        "versions            HAProxy 3.0.11; containerd 2.4.2 (cp1, cp2), 2.4.1 (cp3)",
        "certificates        first to end: /etc/kubernetes/pki/apiserver.crt on cp1, 2035-01-02",
    ]
    document = json.loads(gp("status", "--json").out)
    assert (document["schema"], document["ok"]) == ("groundplane/status/v1", False)
    assert document["machines"][0] == {
        "name": "lb1",
        "role": "balancer",
        "roles": ["balancer"],
        "address": "10.80.0.11",
        "power": "running",
        "ready": True,
        "memory_used": 104857600,
        "cpu_seconds": 3.5,
        "failed": [],
    }
    assert [entry["ends"][:4] for entry in document["certificates"]] == ["2035", "2036", "2036"]
    assert document["certificates"][0]["ends"] == "2035-01-02T00:00:00+00:00"
    assert document["pacemaker_leader"] == "lb1"
    assert document["versions"][-1] == {"machine": "cp3", "program": "containerd", "version": "2.4.1"}


def test_status_says_what_to_do_about_each_sign(gp: Any, recipes: Any) -> None:
    from groundplane.status import NodeLine, Stranger

    one = a_status()
    recipes.found = replace(
        one,
        floating_holder="",
        pacemaker_leader="",
        quorum_problem="lb1: 2 of 3 votes; expected 3 votes",
        certificates=one.certificates[:2],
        nodes=(*one.nodes, NodeLine("guest", True, "v1.37.2")),
        strangers=(Stranger("worker9", "off"),),
        verified=False,
    )
    said = gp("status").out.splitlines()
    for line, remedy in (
        ("floating address    10.80.0.10, on nobody known; `groundplane verify floating-address` tells why", ""),
        ("Pacemaker's leader  unknown; `groundplane verify pacemaker` tells why", ""),
        ("not in the file     worker9 (off); `groundplane apply` removes what isn't", ""),
        ("checks              not all held when last asked; `groundplane verify` asks them", ""),
        ("✗ quorum: lb1: 2 of 3 votes; expected 3 votes", "`groundplane apply` starts what was stopped"),
        ("✗ no certificate was shown by lb1", "`groundplane verify certificates`"),
        ("✗ the node guest is no machine of the platform", "`groundplane kubectl -- delete node guest`"),
    ):
        assert line in said
        assert not remedy or said[said.index(line) + 1].startswith(f"    next: {remedy}")


def test_down_asks_where_nobody_can_answer(gp: Any, recipes: Any) -> None:
    answer = gp("down", "-f", "lab.yaml")
    assert (answer.code, recipes.asked) == (2, [])
    assert "platform lab" in answer.err
    assert "--yes" in answer.err


def test_down_with_yes_removes(gp: Any, recipes: Any) -> None:
    answer = gp("down", "--yes", "-f", "lab.yaml")
    assert (answer.code, answer.out, recipes.asked) == (0, "lab is removed\n", [("down",)])


BORNE = InvalidCluster("lab.yaml", [Problem(2, 11, "network.domain", "test is set aside", "write another")], "", "lab")
TOLD = (
    "warning: lab was built with names that a new platform is refused, and keeps them:\n"
    "    lab.yaml:2:11: network.domain: test is set aside\n"
)


def test_down_says_so_where_there_was_nothing(gp: Any, recipes: Any) -> None:
    recipes.there = False
    answer = gp("down", "--yes", "-f", "lab.yaml")
    assert (answer.code, answer.out) == (0, "there is no platform lab\n")


@pytest.mark.parametrize(
    "words",
    [
        ("down", "--yes"),
        ("verify",),
        ("status",),
        ("start",),
        ("stop",),
        ("ssh", "cp1"),
        ("kubectl", "get"),
        ("kubeconfig",),
        ("drift",),
    ],
)
def test_a_platform_whose_file_became_invalid_is_worked_on(gp: Any, recipes: Any, words: tuple[str, ...]) -> None:
    recipes.fault = InvalidCluster("lab.yaml", [Problem(2, 1, "networks", "there is no key `networks`", "mend it")])
    answer = gp("-f", "lab.yaml", *words)
    assert len(recipes.asked) == 1
    assert (
        "warning: lab.yaml: the cluster file has one problem; this goes on with what lab was built from" in answer.err
    )
    assert "next: groundplane validate" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("up",),
        ("render", "--out", "rendered"),
        ("plan",),
        ("apply",),
        ("apply", "--yes"),
        ("replace", "worker1", "--yes"),
        ("drill", "balancer-crash"),
        ("drift",),
        ("status",),
        ("verify",),
        ("down", "--yes"),
    ],
)
def test_names_that_a_platform_was_built_with_are_told_of_once(gp: Any, recipes: Any, words: tuple[str, ...]) -> None:
    recipes.borne = BORNE
    answer = gp("-f", "lab.yaml", *words)
    assert answer.code == 0
    assert answer.err.startswith(TOLD)
    assert answer.err.count("warning:") == 1


def test_validate_looks_whether_the_platform_was_built_with_them(gp: Any, recipes: Any, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("name: lab\nnetwork: {domain: test}\n")
    recipes.borne = BORNE
    answer = gp("validate", "-f", "lab.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert "write a domain of your own" in answer.err
    (tmp_path / "state/groundplane/platforms/lab").mkdir(parents=True)
    answer = gp("validate", "-f", "lab.yaml")
    assert (answer.code, answer.err) == (0, TOLD)
    assert answer.out.startswith("lab.yaml: valid: platform lab")


def test_and_tells_what_is_wrong_with_the_file_whatever_is_wrong_with_our_state(gp: Any, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("name: lab\nnetwork: {domain: test}\n")
    remembered = tmp_path / "state/groundplane/platforms/lab/spec.json"
    remembered.parent.mkdir(parents=True)
    remembered.write_text("{")
    assert "write a domain of your own" in gp("validate", "-f", "lab.yaml").err


@pytest.mark.parametrize(("typed", "code", "asked"), [("y\n", 0, [("down",)]), ("n\n", 1, []), ("\n", 1, [])])
def test_down_asks_on_a_terminal(
    gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, asked: object
) -> None:
    monkeypatch.setattr("groundplane.cli.platform.can_ask", lambda _: True)
    answer = gp("down", typed=typed)
    assert (answer.code, recipes.asked) == (code, asked)


LOOK = ("started_for", ("worker1",))


@pytest.mark.parametrize(
    ("typed", "code", "asked"), [("y\n", 0, [LOOK, ("replace", ("worker1",))]), ("n\n", 1, [LOOK])]
)
def test_replace_names_who_is_off_and_asks(
    gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, asked: object
) -> None:
    monkeypatch.setattr("groundplane.cli.platform.can_ask", lambda _: True)
    recipes.off = ("cp2", "worker2")
    answer = gp("replace", "worker1", typed=typed)
    assert (answer.code, recipes.asked) == (code, asked)
    told, question = answer.err.splitlines()[:2]
    assert told == "cp2, worker2 are off, and will be started as well"
    assert question.startswith("Remove worker1 with all its data")


def test_replace_does_not_ask_about_what_is_not_there(gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundplane.cli.platform.can_ask", lambda _: True)
    recipes.error = UsageError("there is no machine worker7")
    answer = gp("replace", "worker7", typed="y\n")
    assert (answer.code, recipes.asked) == (2, [("started_for", ("worker7",))])
    assert "there is no machine worker7" in answer.err
    assert "Remove" not in answer.err


def test_machines_are_started_and_stopped(gp: Any, recipes: Any) -> None:
    assert gp("stop", "cp1", "cp2", "--force").out == "cp1, cp2 stopped\n"
    assert gp("start").out == "all machines started\n"
    assert recipes.asked == [("power", False, ("cp1", "cp2"), True), ("power", True, (), False)]


def test_ssh_hands_words_and_status_through(gp: Any, recipes: Any) -> None:
    assert gp("ssh", "cp1", "--", "ls", "-l", "--all").code == 7
    assert gp("ssh", "cp1", "-f", "lab.yaml").code == 7
    assert recipes.asked == [("ssh", "cp1", ["ls", "-l", "--all"]), ("ssh", "cp1", [])]
    assert recipes.options.file == Path("lab.yaml")


@pytest.mark.parametrize(
    ("words", "ours", "theirs"),
    [
        ("-n kube-system get pods", "", "-n kube-system get pods"),
        ("-f lab.yaml apply -f x.yaml -v 9", "-f lab.yaml", "apply -f x.yaml -v 9"),
        (
            "--file=lab.yaml -qv -v --request-timeout=1s -f x apply",
            "--file=lab.yaml -qv -v",
            "--request-timeout=1s -f x apply",
        ),
        ("-flab.yaml -nfoo get", "-flab.yaml", "-nfoo get"),
        ("-v9 get", "", "-v9 get"),
        ("-v=9 get", "", "-v=9 get"),
        ("-- -f x apply -- y", "", "-f x apply -- y"),
        ("-q -- -f x", "-q", "-f x"),
        ("exec -it p -- sh -c x", "", "exec -it p -- sh -c x"),
        ("-", "", "-"),
        ("-f", "-f", ""),
        ("", "", ""),
    ],
)
def test_another_programs_words_begin_where_ours_end(words: str, ours: str, theirs: str) -> None:
    options = {"-f": True, "--file": True, "-q": False, "--quiet": False, "-v": False, "--verbose": False}
    assert split(words.split(), options) == (ours.split(), theirs.split())


def test_kubectl_is_become_with_a_kubeconfig_that_has_no_name(
    gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def execve(program: Path, argv: Sequence[str], environment: dict[str, str]) -> None:
        path = Path(environment["KUBECONFIG"])
        seen.append((program, argv, path.read_text(), os.stat(path).st_mode & 0o777, environment["KUBECACHEDIR"]))
        assert os.get_inheritable(int(path.name))
        raise OSError("a test stays what it is")

    monkeypatch.setattr("os.execve", execve)
    answer = gp("kubectl", "-f", "lab.yaml", "-n", "kube-system", "-f", "x.yaml", "apply")
    assert (answer.code, "kubectl can't be run" in answer.err) == (1, True)
    assert recipes.options.file == Path("lab.yaml")
    argv = ("kubectl", "-n", "kube-system", "-f", "x.yaml", "apply")
    assert seen == [(Path("/software/kubectl"), argv, "apiVersion: v1\n", 0o600, "/cache")]
    assert recipes.asked == [("kubectl",)]


def test_console_shows_the_log(gp: Any, recipes: Any, tmp_path: Path) -> None:
    recipes.log = tmp_path / "console.log"
    recipes.log.write_bytes(b"systemd 257 running\r\nlogin:")
    answer = gp("console", "cp1", "--no-follow")
    assert answer.code == 0
    assert "systemd 257 running" in answer.out
    recipes.log.unlink()
    answer = gp("console", "cp1", "--no-follow")
    assert (answer.code, "no console log" in answer.err) == (1, True)


def test_kubeconfig_goes_to_stdout_or_a_private_new_file(gp: Any, recipes: Any, tmp_path: Path) -> None:
    answer = gp("kubeconfig")
    assert (answer.out, answer.err) == ("apiVersion: v1\n", "")
    answer = gp("kubeconfig", "--out", "kc")
    path = tmp_path / "kc"
    assert (answer.code, answer.out) == (0, "")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("apiVersion: v1\n", 0o600)
    path.write_text("precious")
    assert gp("kubeconfig", "--out", "kc").code == 1
    assert path.read_text() == "precious"
    assert gp("kubeconfig", "--out", "kc", "--force").code == 0
    (tmp_path / "link").symlink_to("kc")
    assert gp("kubeconfig", "--out", "link", "--force").code == 1
    assert path.read_text() == "apiVersion: v1\n"


def test_render_wants_an_empty_folder(gp: Any, recipes: Any, tmp_path: Path) -> None:
    answer = gp("render", "--out", "tree", "--show-secrets", "-v")
    assert answer.out == "tree/cp1/etc/hosts\n1 files below tree\n"
    assert recipes.asked == [("render", Path("tree"), True)]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    answer = gp("render", "--out", "full")
    assert (answer.code, len(recipes.asked)) == (1, 1)


def test_who_is_not_root_is_told_the_line_to_run(gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundplane.cli.root.is_root", lambda: False)
    monkeypatch.setattr("sys.argv", ["groundplane", "up", "-f", "my labs/one.yaml"])
    answer = gp("up", "-f", "my labs/one.yaml")
    assert (answer.code, recipes.asked) == (1, [])
    assert "sudo groundplane up -f 'my labs/one.yaml'" in answer.err
    monkeypatch.setattr("sys.argv", ["groundplane", "up"])
    monkeypatch.setenv("GROUNDPLANE_FILE", "env.yaml")
    assert "sudo groundplane --file env.yaml up" in gp("up").err


def test_the_line_to_run_works_for_a_module_too(gp: Any, recipes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundplane.cli.root.is_root", lambda: False)
    monkeypatch.setattr("sys.argv", ["/src/groundplane/__main__.py", "up"])
    monkeypatch.setattr("sys.executable", "/venv/bin/python")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert "sudo /venv/bin/python -m groundplane up\n" in gp("up").err
    monkeypatch.setenv("PYTHONPATH", "/my src")
    assert "sudo env 'PYTHONPATH=/my src' /venv/bin/python -m groundplane up\n" in gp("up").err


def test_validate_speaks_of_every_problem(gp: Any, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("name: demo\n")
    answer = gp("validate")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "cluster.yaml: valid: platform demo (1 gateway, 2 balancers, 3 control planes, 2 workers)\n"
    (tmp_path / "cluster.yaml").write_text("name: Demo\nmachines:\n  control-plane: 2\n")
    answer = gp("validate")
    assert (answer.code, answer.out) == (2, "")
    assert "cluster.yaml:1:7:" in answer.err
    assert "cluster.yaml:3:18:" in answer.err
    annotated = gp("validate", "--annotate")
    assert annotated.code == 2
    assert "E1" in annotated.out
    assert "E2" in annotated.out
    document = json.loads(gp("validate", "--json").out)
    assert (document["schema"], document["valid"], len(document["problems"])) == ("groundplane/validate/v1", False, 2)
    assert document["problems"][0]["line"] == 1


def test_a_problem_of_the_whole_file_has_no_line(gp: Any) -> None:
    answer = gp("validate", "-f", "nowhere.yaml")
    assert answer.code == 2
    assert answer.err.startswith("nowhere.yaml: ")
    (problem,) = json.loads(gp("validate", "-f", "nowhere.yaml", "--json").out)["problems"]
    assert (problem["line"], problem["column"]) == (0, 0)


def test_valid_files_as_json(gp: Any, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("name: demo\nmachines:\n  control-plane: 1\n  worker: 0\n")
    document = json.loads(gp("validate", "--json").out)
    assert document["valid"] is True
    assert document["name"] == "demo"
    assert {"name": "cp1", "role": "control-plane", "roles": ["control-plane"]} in document["machines"]


def test_explain_and_schema(gp: Any) -> None:
    assert "floating-address" in gp("explain", "network").out
    keys = json.loads(gp("explain", "network.lan", "--json").out)["keys"]
    assert keys[0]["path"] == "network.lan"
    (change,) = keys[0]["changes"]
    assert (change["when"], change["transition"]) == (["added", "changed", "removed"], "never")
    assert change["instead"]
    assert gp("explain", "no-such-key").code == 2
    assert json.loads(gp("schema").out)["title"] == "groundplane cluster file"
    assert "(default)" in gp("explain", "versions").out
    assert json.loads(gp("explain", "versions", "--json").out)["versions"][0]["parts"]


def test_version_and_completion(gp: Any) -> None:
    assert gp("--version").out.startswith("groundplane ")
    assert json.loads(gp("version", "--json").out)["schema"] == "groundplane/version/v1"
    for shell in ("bash", "zsh", "fish"):
        script = gp("completion", shell).out
        assert "_GROUNDPLANE_COMPLETE" in script
        assert "_GP_COMPLETE" in script
    assert gp("completion", "tcsh").code == 2
    assert "--install-completion" not in gp("--help").out


def test_machines_are_completed(gp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.yaml").write_text("name: demo\n")
    monkeypatch.setenv("_GROUNDPLANE_COMPLETE", "complete_bash")
    for line in ("groundplane ssh -f lab.yaml cp", "groundplane -f lab.yaml ssh cp"):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", "4")
        assert gp().out.split() == ["cp1", "cp2", "cp3"]
    monkeypatch.setenv("COMP_WORDS", "groundplane ssh cp")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert gp().out.split() == []  # there is no cluster.yaml


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("groundplane explain network.d", ["network.domain", "network.dhcp-pool"]),
        ("groundplane explain v", ["versions"]),
        ("groundplane completion f", ["fish"]),
        ("groundplane bundle build --source m", ["modules"]),
        ("groundplane up --bundle-source r", ["release"]),
        ("groundplane bundle list 1.37", ["1.37.2"]),
    ],
)
def test_words_are_completed(gp: Any, monkeypatch: pytest.MonkeyPatch, line: str, found: list[str]) -> None:
    monkeypatch.setenv("_GROUNDPLANE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert gp().out.split()[: len(found)] == found


def test_doctor_says_how_to_get_what_is_missing(gp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from groundplane.machines.base import HostFinding

    findings = [
        HostFinding("overlay", True, "known"),
        HostFinding("mmdebstrap", False, "not installed", "apt-get install it"),
    ]
    asked: list[Path] = []

    def examine(state: Path) -> tuple[HostFinding, ...]:
        asked.append(state)
        return tuple(findings)

    monkeypatch.setattr("groundplane.machines.lab.host.examine", examine)
    answer = gp("doctor")
    assert (answer.code, asked) == (1, [tmp_path / "state" / "groundplane"])
    assert answer.out.splitlines() == [
        "✓  overlay     known",
        "✗  mmdebstrap  not installed",
        "    next: apt-get install it",
    ]
    findings.append(HostFinding("ip", False, "not installed", "apt-get install it"))
    assert gp("doctor").out.splitlines()[1:] == [
        "✗  mmdebstrap  not installed",
        "✗  ip          not installed",
        "    next: apt-get install it",
    ]
    del findings[1:]
    assert gp("doctor").code == 0
    findings[0] = HostFinding("overlay", True, "known", "modprobe overlay")
    document = json.loads(gp("doctor", "--json").out)
    assert document["findings"] == [{"name": "overlay", "ok": True, "seen": "known", "remedy": ""}]


def test_doctor_asks_the_provider_the_file_names(gp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def kind_of(provider: str) -> Scripted:
        asked.append(provider)
        return Scripted()

    elsewhere = ClusterSpec.model_construct(**{**ClusterSpec(name="x").__dict__, "provider": "hosts"})
    monkeypatch.setattr("groundplane.machines.catalog.kind_of", kind_of)
    answer = gp("doctor")
    assert (answer.code, answer.out, answer.err, asked) == (0, "✓  a way there  a road\n", "", ["lab"])
    (tmp_path / "cluster.yaml").write_text("nam: lab\n")
    answer = gp("doctor")
    assert (answer.code, asked) == (0, ["lab", "lab"])
    assert "warning: cluster.yaml" in answer.err
    monkeypatch.setattr("groundplane.cli.show.read_spec", lambda _: elsewhere)
    assert (gp("doctor").err, asked[-1]) == ("", "hosts")


def test_history(gp: Any, tmp_path: Path) -> None:
    from groundplane.events import reported
    from groundplane.store import Home, recorded

    answer = gp("history")
    assert (answer.code, answer.out) == (0, "")
    assert "nothing is recorded" in answer.err
    home = Home.find(tmp_path / "s")

    def work() -> None:
        with recorded(home, "demo", "up", "abc") as journal, reported(journal, "cp1", "boot"):
            raise GroundplaneError("it broke")

    with pytest.raises(GroundplaneError):
        work()
    answer = gp("history", "--state-dir", str(home.state))
    assert answer.out.splitlines()[1].split()[:6] == [
        "1",
        *answer.out.splitlines()[1].split()[1:3],
        "demo",
        "up",
        "failed",
    ]
    document = json.loads(gp("--state-dir", str(home.state), "history", "--json").out)
    assert document["runs"][0]["outcome"] == "failed"
    text = gp("history", "show", "1", "--state-dir", str(home.state)).out
    assert "up demo: failed" in text
    assert "it broke" in text
    document = json.loads(gp("history", "--state-dir", str(home.state), "show", "1", "--json").out)
    assert [entry["kind"] for entry in document["entries"]] == ["started", "failed"]
    assert gp("history", "show", "2", "--state-dir", str(home.state)).code == 1


def test_a_bundle_that_is_not_there(gp: Any) -> None:
    for words in (("list",), ("verify",), ("sbom",), ("export", "x.tar")):
        answer = gp("bundle", *words)
        assert (answer.code, answer.out) == (1, "")
        assert "groundplane bundle build" in answer.err
    assert gp("bundle", "build", "--source", "nowhere").code == 2
    assert gp("bundle", "build", "--mirror", "dl.k8s.io").code == 2
    assert gp("up", "--bundle-mirror", "dl.k8s.io").code == 2
    assert gp("up", "--bundle-source", "nowhere").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bundle", "list", "1.35.1"), "1.37.2"),
        (("bundle", "build", "1.35.1"), "1.37.2"),
        (("bundle", "build", "--source", "file"), "--from PATH"),
        (("bundle", "build", "--source", "release", "--from", "x.tar"), "--source file"),
        (("up", "--bundle-source", "file"), "--bundle-file PATH"),
    ],
)
def test_bad_usage_says_what_to_write(gp: Any, recipes: Any, words: tuple[str, ...], said: str) -> None:
    answer = gp(*words)
    assert (answer.code, answer.out, recipes.asked) == (2, "", [])
    assert said in answer.err


def test_what_is_no_bundle_file_says_what_is(gp: Any, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("nothing of the kind")
    answer = gp("bundle", "import", "x.tar")
    assert answer.code == 1
    assert "next: take the file that `groundplane bundle export` wrote" in answer.err


def test_the_cache_is_for_its_owner_alone(gp: Any, tmp_path: Path) -> None:
    cache = tmp_path / "cache/groundplane"
    cache.mkdir(parents=True, mode=0o755)
    gp("bundle", "import", "x.tar")
    assert [path.stat().st_mode & 0o777 for path in (cache, cache / "bundle")] == [0o700, 0o700]


def test_up_asks_the_mirrors_it_is_told(gp: Any, recipes: Any) -> None:
    assert gp("up", "--bundle-mirror", "dl.k8s.io=http://10.0.0.2/k8s").code == 0
    assert dict(recipes.options.bundle_mirrors.files) == {"dl.k8s.io": "http://10.0.0.2/k8s"}


def test_a_mirror_is_a_host_and_an_address() -> None:
    from groundplane.cli.bundle import mirrors

    asked = mirrors(["dl.k8s.io=http://10.0.0.2/k8s/", "ghcr.io=https://registry.example/v2/ghcr.io"], "--mirror")
    assert asked.files == asked.registries
    assert dict(asked.files) == {
        "dl.k8s.io": "http://10.0.0.2/k8s",
        "ghcr.io": "https://registry.example/v2/ghcr.io",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("there is no machine nope", hint="there are: cp1"), 2),
        (FileChanged("the cluster file changed since platform lab was built"), 2),
        (StoreError("is full"), 1),
    ],
)
def test_the_status_says_who_is_at_fault(gp: Any, recipes: Any, error: GroundplaneError, code: int) -> None:
    recipes.error = error
    assert gp("up").code == code


def test_errors_of_the_recipes_end_a_command(gp: Any, recipes: Any) -> None:
    recipes.error = StoreError("is full", where="/state", hint="make room")
    answer = gp("up")
    assert answer.code == 1
    assert "error: /state: is full\n  next: make room\n" in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("words", [("nonsense",), ("up", "--nonsense"), ("ssh",), ("history", "show", "x")])
def test_bad_usage_ends_with_two(gp: Any, words: tuple[str, ...]) -> None:
    answer = gp(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_name_that_steers_a_terminal_is_told_by_its_code_points(gp: Any, option: tuple[str, ...]) -> None:
    answer = gp("validate", "-f", "a\x1b[31m\x9bb.yaml", *option)
    assert answer.code == 2
    assert not {"\x1b", "\x9b"} & set(answer.out + answer.err)
    assert "a<U+001B>[31m<U+009B>b.yaml: there is no such file" in answer.err
    if option:
        assert json.loads(answer.out)["file"] == "a\x1b[31m\x9bb.yaml"


def test_a_binary_file_is_called_one(gp: Any, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x7fELF\0\0")
    answer = gp("validate", "-f", str(tmp_path / "x"))
    assert (answer.code, "this is a binary file" in answer.err) == (2, True)


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_file_that_may_not_be_read_is_told_plainly(
    gp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    """Tests may run as root, who may read anything: the operating system's answers are stood in for."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x").write_text("name: lab\n")
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(Path, "open", refused)
    answer = gp("validate", "-f", str(tmp_path / "x"), *option)
    assert answer.code == 2
    assert "the file can't be read: permission denied" in answer.err
    assert "Usage" not in answer.err


@pytest.mark.parametrize(("out", "words"), [("file/out", "which is no folder"), ("file", "is not an empty folder")])
def test_render_says_where_it_can_not_write(gp: Any, tmp_path: Path, out: str, words: str) -> None:
    (tmp_path / "file").touch()
    answer = gp("render", "--out", str(tmp_path / out))
    assert (answer.code, words in answer.err, "next:" in answer.err) == (1, True, True), answer.err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_history_in_a_file_says_that_it_wants_a_folder(gp: Any, tmp_path: Path, form: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("")
    answer = gp("history", "--state-dir", str(tmp_path / "file"), *form)
    assert (answer.code, answer.out) == (1, "")
    assert "Not a directory" in answer.err
    assert "next: a file stands where a folder belongs: choose another folder" in answer.err
