"""What users see: the annotated file, the explanation of keys, the schema for editors, the shipped examples."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from ruamel.yaml import YAML

from groundplane.errors import SpecError
from groundplane.software import known_versions
from groundplane.spec import InvalidCluster, annotate, explain, explain_text, load, schema
from groundplane.spec.json_schema import SHIPPED
from groundplane.spec.model import ClusterSpec, Counts, Stanza

EXAMPLES = Path(__file__).parents[3] / "examples"
VERSIONS = ("1.37.2",)
SCHEMA = schema(known_versions())


def refused(text: str) -> InvalidCluster:
    with pytest.raises(InvalidCluster) as caught:
        load(text.encode(), name="lab.yaml", versions=VERSIONS)
    return caught.value


def test_annotated_file() -> None:
    error = refused("name: lab\nnetwork:\n  lan: 10.80.0.5/24\nworkers: 2\nimage: {release: sarge, mirror: x}\n")
    assert annotate(error) == (
        "lab.yaml: the cluster file has 4 problems\n"
        "\n"
        "1 | name: lab\n"
        "2 | network:\n"
        "3 |   lan: 10.80.0.5/24\n"
        "  |        ^ E1\n"
        "4 | workers: 2\n"
        "  | ^ E2\n"
        "5 | image: {release: sarge, mirror: x}\n"
        "  |                  ^ E3\n"
        "  |                                 ^ E4\n"
        "\n"
        "E1 line 3, network.lan: `10.80.0.5/24` has bits set behind its prefix: it is an address, not a range\n"
        "   → write 10.80.0.0/24\n"
        "E2 line 4, workers: there is no key `workers` here\n"
        "   → it belongs at 'machines.worker'\n"
        "E3 line 5, image.release: `sarge` is not a supported release of debian\n"
        "   → write bookworm or trixie\n"
        "E4 line 5, image.mirror: `x` is not the address of a package archive (http, https, file or copy)\n"
        "   → write the address of a package archive (http, https, file or copy), such as http://mirror.example/debian\n"
    )


def test_long_files_are_shown_around_their_problems() -> None:
    text = annotate(refused("name: lab\n" + "# comment\n" * 100 + "provider: nowhere\n" + "# more\n" * 100))
    lines = text.splitlines()
    assert "  … |" in lines
    assert "102 | provider: nowhere" in lines
    assert sum("# comment" in line for line in lines) == 2


def test_long_lines_keep_the_caret_under_the_fault() -> None:
    text = annotate(
        refused("name: lab # " + "x" * 300 + "\nimage: {mirror: http://a/" + "a" * 300 + ", release: sarge}\n")
    )
    lines = text.splitlines()
    caret = next(number for number, line in enumerate(lines) if "^" in line)
    assert lines[caret - 1][lines[caret].index("^") :].startswith("sarge")
    assert max(len(line) for line in lines[:caret]) < 130


def test_errors_tell_everything_without_being_annotated() -> None:
    error = refused("name: lab\nimage: {release: sarge}\n")
    assert str(error) == "lab.yaml: the cluster file has one problem"
    assert (
        error.detail == "line 2, image.release: `sarge` is not a supported release of debian; write bookworm or trixie"
    )


def test_every_key_is_explained() -> None:
    def keys(stanza: type[Stanza]) -> int:
        return len(stanza.model_fields)

    found = explain()
    paths = [key.path for key in found]
    assert len(set(paths)) == len(paths)
    assert {path for path in paths if "." not in path} == {
        (field.alias or name) for name, field in ClusterSpec.model_fields.items()
    }
    assert sum(path.startswith("machines.") for path in paths) == keys(Counts)
    assert "machines[].size.memory" in paths
    assert all(key.description and key.kind.words and key.kind.example for key in found)
    defaults = {key.path: key.default for key in found}
    assert defaults["network.lan"] == "10.80.0.0/24"
    assert defaults["sizes.worker.memory"] == "3GiB"
    assert defaults["balancers.accept-single-point-of-failure"] == "false"


def test_explaining_a_part() -> None:
    assert [key.path for key in explain("network.dhcp-pool")] == [
        "network.dhcp-pool",
        "network.dhcp-pool.first",
        "network.dhcp-pool.last",
    ]
    assert [key.path for key in explain("machines.mac")] == ["machines[].mac"]
    assert explain_text("network.lan") == (
        "network.lan: an IPv4 range, default 10.80.0.0/24\n"
        "    address range of the LAN, /16 to /29; the gateway has its first\n"
        "    changed later: never: every machine's address is from it, and addresses are in certificates and\n"
        "    in etcd; take it back, or build another platform beside this one, from a file with another\n"
        "    `name`\n"
    )
    assert explain_text("machines.worker").splitlines()[2:] == [
        "    machines added: they are made as the file says now, and join; etcd takes its members one after",
        "    the other",
        "    machines removed: drained, taken out of etcd and the balancers, then removed for good; a lower",
        "    count takes the highest numbers",
    ]
    assert "    added later: rolling: " in explain_text("network.ipv6")
    assert "    changed or removed later: never: " in explain_text("network.ipv6")
    with pytest.raises(SpecError) as caught:
        explain("network.land")
    assert "network.lan" in caught.value.hint


def test_explanation_is_aligned_to_its_tree() -> None:
    lines = explain_text().splitlines()
    assert lines[0].startswith("name: a platform's name")
    assert any(line.startswith("  floating-address: ") for line in lines)
    assert any(line.startswith("    first: ") for line in lines)
    assert all(len(line) < 130 for line in lines)


def test_shipped_schema_is_current() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == SCHEMA, "renew it: make schema"


def test_schema_knows_no_format_that_editors_do_not() -> None:
    assert set(re.findall(r'"format": "([^"]*)"', SCHEMA)) <= {"ipv4"}


def test_schema_says_what_the_model_says() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA))
    assert validator.is_valid({"name": "lab"})
    three = [{"name": role, "role": role} for role in ("gateway", "balancer", "control-plane")]
    assert validator.is_valid({"name": "lab", "machines": three})
    assert not validator.is_valid({"name": "lab", "machines": three[:2]})
    several = {"name": "a", "roles": ["gateway", "balancer", "control-plane"]}
    assert validator.is_valid({"name": "lab", "machines": [several]})
    assert not validator.is_valid({"name": "lab", "machines": [{**several, "role": "gateway"}]})
    assert not validator.is_valid({"name": "lab", "machines": [*three, {"name": "b"}]})
    assert not validator.is_valid({})
    assert not validator.is_valid({"name": "lab", "workers": 2})
    assert not validator.is_valid({"name": "lab", "machines": {"control_plane": 3}})
    assert not validator.is_valid({"name": "lab", "network": {"lan": "10.80.0.0"}})


@pytest.mark.parametrize(
    ("stanza", "key", "right", "wrong"),
    [
        ("network", "lan", ("10.80.0.0/24",), ("10.80.0.0/33", "10.80.0.256/24", "10.80.0/24", "010.80.0.0/24")),
        ("network", "floating-address", ("10.80.0.10", "255.0.0.1"), ("10.80.0.256", "10.80.0", "10.80.0.10/24")),
        ("network", "ipv6", ("fd00:80::/64", "2001:db8:1:2::/64"), ("::/64", "fe80::1", "fd00::/48", "10.0.0.0/24")),
        ("machines", "control-plane", (1, 3, 5, 7, 9), (0, 2, 4, 11, "3")),
        ("kubernetes", "version", known_versions(), ("1.37", "1.20.1")),
        ("sizes", "worker", ({"cpus": 4}, {"memory": "4GiB"}, {}), ({"cpus": 0}, {"memory": "4GB"})),
    ],
)
def test_schema_catches_what_is_cheap_to_catch(
    stanza: str, key: str, right: tuple[object, ...], wrong: tuple[object, ...]
) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA))
    assert all(validator.is_valid({"name": "lab", stanza: {key: value}}) for value in right)
    assert not any(validator.is_valid({"name": "lab", stanza: {key: value}}) for value in wrong)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_examples_load_and_fit_the_schema(path: Path) -> None:
    load(path, name=path.name, versions=VERSIONS)
    jsonschema.Draft202012Validator(json.loads(SCHEMA)).validate(YAML(typ="safe", pure=True).load(path))
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert named
    assert (path.parent / named[1]).resolve() == SHIPPED.resolve()


def test_example_sizes() -> None:
    lab = load(EXAMPLES / "lab.yaml", name="lab.yaml", versions=VERSIONS)
    assert isinstance(lab.machines, Counts)
    assert (lab.machines.balancer, lab.machines.control_plane, lab.machines.worker) == (2, 3, 2)
    assert len((EXAMPLES / "minimal.yaml").read_text(encoding="utf-8").splitlines()) <= 10
