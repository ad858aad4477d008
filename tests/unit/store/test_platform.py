"""What is remembered of a platform: made once, never overwritten, forgotten whole."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from groundplane.errors import FileChanged, StoreError
from groundplane.software import Program
from groundplane.spec.model import ClusterSpec, Kubernetes, Network
from groundplane.store import Home, Store
from groundplane.store.home import FORMAT
from groundplane.topology.model import KeyPair, Secret, Secrets


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "state", tmp_path / "cache"), "demo")


def some_secrets(seed: str = "a") -> Secrets:
    pair = KeyPair(certificate=f"certificate {seed}".encode(), key=Secret(f"key {seed}".encode()))
    key = Secret(f"bytes {seed}".encode())
    return Secrets(
        platform_ca=pair,
        kubernetes_ca=pair,
        front_proxy_ca=pair,
        etcd_ca=pair,
        service_account=pair,
        registry=pair,
        qnetd=pair,
        qdevice=pair,
        corosync_key=key,
        pacemaker_key=key,
        encryption_key=key,
    )


def refuse() -> Secrets:
    pytest.fail("secrets were made a second time")


def spec(**values: object) -> ClusterSpec:
    return ClusterSpec.model_validate({"name": "demo", **values})


def test_secrets_are_made_once(store: Store) -> None:
    assert store.known_secrets() is None
    assert not store.exists
    made = store.secrets(some_secrets)
    assert made == some_secrets()
    assert store.secrets(refuse) == made
    assert store.known_secrets() == made
    path = store.folder / "secrets.json"
    assert (path.stat().st_mode & 0o777, store.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_of_two_at_once_one_set_is_used(store: Store) -> None:
    def slower() -> Secrets:
        Store(store.home, store.name).secrets(lambda: some_secrets("quicker"))
        return some_secrets("slower")

    assert store.secrets(slower) == some_secrets("quicker")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b'{"platform_ca": "hunter2"', b"\xff"])
def test_damaged_secrets_are_never_overwritten(store: Store, content: bytes) -> None:
    store.secrets(some_secrets)
    path = store.folder / "secrets.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as caught:
        store.secrets(refuse)
    assert path.read_bytes() == content
    assert caught.value.hint
    assert "hunter2" not in str(caught.value) + caught.value.detail + caught.value.hint


def test_the_file_may_not_change_under_a_platform(store: Store) -> None:
    assert store.remembered_spec() is None
    store.claim(spec())
    assert store.remembered_spec() == spec()
    store.claim(spec())
    changed = spec(network={"lan": "10.99.0.0/24"}, sizes={"worker": {"cpus": 4}})
    assert [str(change) for change in store.changes(changed)] == [
        "network.lan: 10.80.0.0/24 → 10.99.0.0/24",
        "sizes.worker.cpus: 2 → 4",
    ]
    for taken in (store.claim, store.intend, store.adopt, store.live_changes):
        with pytest.raises(FileChanged, match="can't be changed in this way") as caught:
            taken(changed)
        assert caught.value.detail.startswith("network.lan: 10.80.0.0/24 → 10.99.0.0/24\n")
        assert "sizes" not in caught.value.detail
    assert (store.remembered_spec(), store.intended_spec()) == (spec(), None)


def test_what_a_standing_platform_can_follow_is_adopted_but_not_claimed(store: Store) -> None:
    store.claim(spec())
    resized = spec(sizes={"worker": {"cpus": 4, "memory": "4GiB"}})
    with pytest.raises(FileChanged, match="changed since") as caught:
        store.claim(resized)
    assert "groundplane apply" in caught.value.hint
    assert [change.path for change in store.live_changes(resized)] == ["sizes.worker.cpus", "sizes.worker.memory"]
    assert store.remembered_spec() == spec()
    store.adopt(resized)
    assert store.remembered_spec() == resized
    store.claim(resized)


def test_what_is_being_brought_about_is_remembered_beside_what_was_built(store: Store) -> None:
    store.claim(spec())
    resized = spec(sizes={"worker": {"cpus": 4}})
    store.intend(resized)
    assert (store.remembered_spec(), store.intended_spec()) == (spec(), resized)
    assert store.changes(resized)
    store.adopt(resized)
    assert (store.remembered_spec(), store.intended_spec()) == (resized, None)


def test_the_same_machines_in_another_form_are_the_same_file(store: Store) -> None:
    store.claim(spec(machines={"balancer": 2, "control-plane": 1, "worker": 0}))
    named = {"gateway": "gateway", "lb1": "balancer", "lb2": "balancer", "cp1": "control-plane"}
    machines = [{"name": name, "role": role} for name, role in named.items()]
    store.claim(spec(machines=machines))
    assert store.remembered_spec() == spec(machines=machines)


def test_what_nobody_wrote_stays_as_it_was_built(store: Store) -> None:
    assert store.settled(spec()) == (spec(), ())
    built = spec(machines={"worker": 5}, network={"ipv6": "fd00:80::/64"})
    store.claim(built)
    assert store.settled(spec()) == (spec(), ())  # both were taken out of the file
    path = store.folder / "spec.json"
    document = json.loads(path.read_bytes())
    assert document["written"] == ["machines.worker", "name", "network.ipv6"]
    path.write_text(json.dumps({**document, "written": ["name"]}))
    kept, held = store.settled(spec())
    assert (kept, [one.path for one in held]) == (built, ["network.ipv6", "machines.worker"])


def test_the_memory_of_the_first_format_is_read_and_written_as_todays(store: Store) -> None:
    store.claim(spec())
    old = spec(machines={"worker": 5}, network={"ipv6": "fd00:80::/64"})
    path = store.folder / "spec.json"
    path.write_text(old.model_dump_json(by_alias=True, exclude_none=True))
    (store.home.state / "format").write_text("1\n")
    assert store.remembered_spec() == old
    assert (store.home.state / "format").read_text() == "1\n"  # who only reads leaves it to an older groundplane
    assert store.settled(spec())[0] == old
    store.claim(old)
    assert json.loads(path.read_bytes())["format"] == FORMAT
    assert (store.home.state / "format").read_text() == f"{FORMAT}\n"
    assert store.remembered_spec() == old


def test_a_memory_of_a_newer_format_is_left_alone(store: Store) -> None:
    store.claim(spec())
    path = store.folder / "spec.json"
    path.write_text(json.dumps({"format": FORMAT + 1, "something": "else"}))
    content = path.read_bytes()
    for use in (store.remembered_spec, lambda: store.claim(spec()), lambda: store.adopt(spec())):
        with pytest.raises(StoreError, match="newer groundplane") as caught:
            use()
        assert caught.value.where == str(path)
        assert "move" not in caught.value.hint
    assert path.read_bytes() == content


def test_specs_come_back_as_they_were(store: Store) -> None:
    machines = [{"name": "gateway", "role": "gateway"}, {"name": "cp1", "role": "control-plane", "address": "10.1.0.5"}]
    odd = spec(
        network={"lan": "10.1.0.0/24", "dhcp-pool": {"first": "10.1.0.9", "last": "10.1.0.99"}}, machines=machines
    )
    store.claim(odd)
    assert store.remembered_spec() == odd
    assert ClusterSpec(name="x", network=Network(lan=IPv4Network("10.1.0.0/24")), kubernetes=Kubernetes()) != odd


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"\xff", b'{"format": "2"}', b'{"format": 0}', b'{"format": 2}', b'{"format": 2, "spec": 1}'],
)
def test_a_damaged_memory_of_the_file_is_said(store: Store, content: bytes) -> None:
    store.claim(spec())
    (store.folder / "spec.json").write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        store.remembered_spec()


def test_verified_is_a_mark(store: Store) -> None:
    assert not store.verified()
    store.set_verified(True)
    assert store.verified()
    store.set_verified(False)
    store.set_verified(False)
    assert not store.verified()


def test_what_was_made_anew_is_remembered_until_the_platform_is_verified(store: Store) -> None:
    assert store.replaced() == frozenset()
    store.set_replaced({"cp2", "cp1"})
    assert store.replaced() == {"cp1", "cp2"}
    store.set_verified(False)
    assert store.replaced() == {"cp1", "cp2"}
    store.set_verified(True)
    assert store.replaced() == frozenset()
    store.set_replaced({"cp1"})
    (store.folder / "replaced.json").write_bytes(b"{")
    with pytest.raises(StoreError, match="damaged"):
        store.replaced()
    store.forget()
    assert not store.exists


def test_the_users_images_are_remembered(store: Store) -> None:
    assert store.images() == b""
    store.remember_images(b"index")
    assert store.images() == b"index"
    store.forget()
    assert store.images() == b""


def test_forgetting_removes_what_is_ours(store: Store) -> None:
    store.forget()
    store.secrets(some_secrets)
    store.claim(spec())
    store.intend(spec())
    store.set_verified(True)
    (store.folder / ".partial-secrets.json-00aa").write_bytes(b"what a crash left")
    with store.lock("down"):
        store.forget()
    assert not store.folder.exists()
    assert not store.exists


def test_forgetting_waits_until_the_provider_left_nothing(store: Store) -> None:
    store.secrets(some_secrets)
    (store.folder / "machines").mkdir()
    with pytest.raises(StoreError, match="machines"):
        store.forget()
    assert store.known_secrets() == some_secrets()


def test_a_newer_format_is_refused_for_reading_too(store: Store) -> None:
    store.claim(spec())
    (store.home.state / "format").write_text("9")
    for read in (store.remembered_spec, store.known_secrets, lambda: store.secrets(refuse)):
        with pytest.raises(StoreError, match="newer"):
            read()


def test_what_the_bundles_programs_hold_is_remembered(store: Store) -> None:
    program = Program("/usr/local/bin/kubelet", f"sha256:{'0' * 64}", 7)
    assert store.programs() == ()
    store.remember_programs([program])
    assert store.programs() == (program,)
    (store.folder / "software.json").write_text('{"programs": [{"path": "/x"}]}')
    with pytest.raises(StoreError, match="software is damaged") as caught:
        store.programs()
    assert "software.json" in str(caught.value.where)
    store.forget()
    assert store.programs() == ()
