"""Everything a cluster file is refused for: at which line, with which words, and with what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

import pytest

from groundplane.spec import ClusterSpec, InvalidCluster, Problem, document, load
from groundplane.spec.names import NAMES_WITH_A_MEANING

VERSIONS = ("1.37.2", "1.36.3")

# A complete explicit list in five lines, for the cases about machines.
SINGLE = """\
name: lab
balancers: {accept-single-point-of-failure: true}
machines:
  - {name: gw, role: gateway}
  - {name: lb, role: balancer}
  - {name: cp, role: control-plane}
"""


@dataclass(frozen=True)
class Case:
    """``text`` is refused at ``line`` with all of ``words`` in its message and ``instead`` in what to write."""

    id: str
    text: str
    line: int
    words: tuple[str, ...]
    instead: str = ""


def lan(rest: str) -> str:
    return f"name: lab\nnetwork:\n{rest}"


def single(rest: str) -> str:
    return SINGLE + rest


FORM = [
    Case("empty", "", 1, ("empty",), "name: my-platform"),
    Case("only comments", "# nothing\n\n", 1, ("empty",)),
    Case("only a marker", "---\n", 1, ("empty",)),
    Case("two documents", "name: a\n---\nname: b\n", 2, ("second document",), "one platform"),
    Case("a list", "- name: lab\n", 1, ("key: value",)),
    Case("a word", "lab\n", 1, ("key: value",)),
    Case("a tab", "name: lab\nnetwork:\n\tlan: 10.0.0.0/24\n", 3, ("tab",), "spaces"),
    Case("two colons", "name: lab\nprovider: a: b\n", 2, ("second `: `",), "quote"),
    Case("an indent", "name: lab\n  provider: lab\n", 2, ("indent",)),
    Case("no colon", "name: lab\nprovider\nimage: {}\n", 2, ("colon",)),
    Case("an open bracket", "name: lab\nmachines: [\n", 2, ("YAML",)),
    Case("an open brace", "name: lab\nimage: {release: trixie\n", 2, ("YAML",)),
    Case("an open quote", 'name: lab\nprovider: "lab\n', 2, ("never closed",)),
    Case("a strange beginning", "name: lab\nprovider: @lab\n", 2, ("begin",), "quotes"),
    Case("a control character", "name: lab\nprovider: l\x01b\n", 2, ("U+0001",), "remove"),
    Case("an old line break", "name: lab\nprovider: l\u2028b\n", 2, ("U+2028",)),
    Case("half a character", 'name: "\\ud800"\n', 1, ("surrogate",)),
    Case("no character", 'name: lab\nprovider: "\\UFFFFFFFF"\n', 1, ("not YAML",)),
    Case("a tag", "name: !!python/object:os.system lab\n", 1, ("!!python/object",), "value alone"),
    Case("a tag on a mapping", "name: lab\nimage: !mine {release: trixie}\n", 2, ("!mine",)),
    Case("a look-alike letter", "name: l\u043eb\n", 1, ("U+043E CYRILLIC SMALL LETTER O",), "such as lab"),
    Case("a look-alike key", "n\u0430me: lab\n", 1, ("U+0430 CYRILLIC",), "did you mean 'name'?"),
    Case("a blank that is none", "name:\u00a0lab\n", 1, ("U+00A0 NO-BREAK SPACE",)),
    Case("a tab that indents", "name: lab\nimage:\n-\ta: b\n  c: d\n", 3, ("tab",)),
    Case("a directive", "%YAML 1.1\n---\nname: lab\n", 1, ("directives",)),
    Case("another version", "%YAML 1.3\n---\nname: lab\n", 1, ("directives",), "remove the line"),
    Case("a merge key", "name: lab\nimage:\n  <<: {release: trixie}\n", 3, ("merge keys",)),
    Case("a key of keys", "name: lab\n{a: b}: c\n", 2, ("key must be a word",)),
    Case("an unknown alias", "name: lab\nimage: *none\n", 2, ("no anchor",)),
    Case("an alias of itself", "name: lab\nimage: &a {release: *a}\n", 2, ("stands for itself",)),
    Case("deep", "name: lab\nimage: " + "[" * 40 + "]" * 40, 2, ("deeper than 32",)),
    Case("a repeated key", "name: lab\nimage: {}\nname: other\n", 3, ("`name`", "twice", "line 1"), "one of the two"),
    Case("a repeated inner key", lan("  domain: a\n  lan: 10.0.0.0/24\n  domain: b\n"), 5, ("`domain`", "line 3")),
]

KEYS = [
    Case("no name", "provider: lab\n", 1, ("`name` is missing",), "name: lab"),
    Case("unknown", "name: lab\nfrobnicate: 1\n", 2, ("`frobnicate`",), "possible here: name, provider"),
    Case(
        "misspelt", "name: lab\nmachines:\n  controlplane: 3\n", 3, ("`controlplane`",), "did you mean 'control-plane'?"
    ),
    Case("elsewhere before a guess", "name: lab\nworker: 2\n", 2, (), "it belongs at 'machines.worker'"),
    Case("elsewhere by its form", "name: lab\nworker: {cpus: 2}\n", 2, (), "it belongs at 'sizes.worker'"),
    Case("there already", "name: lab\nNamme: lab\n", 2, (), "in line 1 already"),
    Case("snake case", "name: lab\nmachines:\n  control_plane: 3\n", 3, (), "did you mean 'control-plane'?"),
    Case("camel case", lan("  floatingAddress: 10.80.0.9\n"), 3, (), "did you mean 'floating-address'?"),
    Case("upper case", "Name: lab\nname: lab\n", 1, (), "did you mean 'name'?"),
    Case(
        "beginning", "name: lab\nsizes:\n  control: {cpus: 2, memory: 2GiB}\n", 3, (), "did you mean 'control-plane'?"
    ),
    Case("elsewhere", "name: lab\nlan: 10.0.0.0/24\n", 2, ("`lan`",), "it belongs at 'network.lan'"),
    Case("plural elsewhere", "name: lab\nworkers: 2\n", 2, (), "it belongs at 'machines.worker'"),
    Case("a whole word before a guess", single("  - {name: w, role: worker, macAddress: x}\n"), 7, (), "mean 'mac'?"),
    Case("in a machine", single("  - {name: w, rol: worker}\n"), 7, ("`rol`",), "did you mean 'role'?"),
    Case("a machine without role", single("  - {name: w}\n"), 7, ("`role` is missing",), "role: worker"),
    Case("a machine without name", single("  - {role: worker}\n"), 7, ("`name` is missing",), "name: worker1"),
    Case("half a pool", lan("  dhcp-pool: {first: 10.80.0.200}\n"), 3, ("`last` is missing",)),
]

VALUES = [
    Case("number for name", "name: 123\n", 1, ("`123`", "all digits"), "letter"),
    Case("quoted digits", "name: '123'\n", 1, ("`123`", "all digits"), "letter"),
    Case("float for name", "name: 1e3\n", 1, ("`1e3`", "read as a number"), "quotes ('1e3')"),
    Case("bool for name", "name: true\n", 1, ("`true`", "true or false"), "quotes"),
    Case("empty name", "name:\n", 1, ("empty",)),
    Case("no text in name", "name: ''\n", 1, ("not a platform's name",)),
    Case("capitals", "name: Lab\n", 1, ("not a host name",), "write lab"),
    Case("underscore", "name: my_lab\n", 1, (), "write my-lab"),
    Case("hyphen in front", "name: -lab\n", 1, (), "write lab"),
    Case("dots", "name: lab.example\n", 1, (), "write lab-example"),
    Case("64 characters", f"name: {'a' * 64}\n", 1, ("64 characters", "at most 63")),
    Case("not ASCII", "name: läb\n", 1, ("`läb`",), "such as lab"),
    Case("mapping for name", "name: {a: b}\n", 1, ("a mapping stands where",)),
    Case("list for name", "name: [a]\n", 1, ("a list stands where",)),
    Case("an empty stanza", "name: lab\nnetwork:\n", 2, ("empty",), "remove the key"),
    Case("word for a stanza", "name: lab\nnetwork: none\n", 2, ("`none`", "stanza")),
    Case("list for a stanza", "name: lab\nnetwork: []\n", 2, ("a list stands where",)),
    Case("provider", "name: lab\nprovider: labs\n", 2, ("`labs`",), "lab"),
    Case(
        "yes", "name: lab\nbalancers:\n  accept-single-point-of-failure: yes\n", 3, ("`yes`", "YAML 1.2"), "write true"
    ),
    Case("off", "name: lab\nbalancers:\n  accept-single-point-of-failure: off\n", 3, (), "write false"),
    Case("number for bool", "name: lab\nbalancers:\n  accept-single-point-of-failure: 1\n", 3, ("not true or false",)),
    Case(
        "text for bool",
        "name: lab\nbalancers:\n  accept-single-point-of-failure: 'true'\n",
        3,
        ("in quotes", "not true or false"),
        "take the quotes away",
    ),
    Case("standby", "name: lab\nbalancers: {standby: warm}\n", 2, ("`warm`",), "hot or cold"),
    Case("float count", "name: lab\nmachines: {worker: 2.0}\n", 2, ("whole number",), "write 2"),
    Case(
        "quoted count", "name: lab\nmachines: {worker: '2'}\n", 2, ("`2` in quotes", "whole number"), "take the quotes"
    ),
    Case("quoted gateway", 'name: lab\nmachines: {gateway: "1"}\n', 2, ("`1` in quotes is text",), "take the quotes"),
    Case("quoted and odd", "name: lab\nmachines: {control-plane: '2'}\n", 2, ("1, 3, 5, 7 or 9",), "such as 3"),
    Case("quoted processors", 'name: lab\nsizes: {worker: {cpus: "2"}}\n', 2, ("`2` in quotes",), "take the quotes"),
    Case("no balancer", "name: lab\nmachines: {balancer: 0}\n", 2, ("1 to 3",), "such as 2"),
    Case("half a balancer", "name: lab\nmachines: {balancer: 2.5}\n", 2, ("1 to 3",), "such as 2"),
    Case("too many and whole", "name: lab\nmachines: {worker: 2000.0}\n", 2, ("whole number",), "0 to 1000"),
    Case("word count", "name: lab\nmachines: {worker: two}\n", 2, ("`two`", "0 to 1000")),
    Case("true count", "name: lab\nmachines: {worker: true}\n", 2, ("`true`",)),
    Case("negative count", "name: lab\nmachines: {worker: -1}\n", 2, ("`-1`", "0 to 1000")),
    Case("huge count", f"name: lab\nmachines: {{worker: {'9' * 5000}}}\n", 2, ("0 to 1000",)),
    Case("two gateways", "name: lab\nmachines: {gateway: 2}\n", 2, ("`2`", "1")),
    Case("word for machines", "name: lab\nmachines: many\n", 2, ("`many`", "list of machines")),
    Case("null machines", "name: lab\nmachines:\n", 2, ("empty",)),
    Case("null in the list", single("  -\n"), 7, ("empty",)),
    Case("word in the list", single("  - worker\n"), 7, ("`worker`", "not a machine")),
    Case("role", single("  - {name: w, role: Worker}\n"), 7, ("`Worker`",), "did you mean 'worker'?"),
    Case(
        "role in snake case",
        single("  - {name: w, role: control_plane}\n  - {name: v, role: control-plane}\n"),
        7,
        (),
        "did you mean 'control-plane'?",
    ),
    Case(
        "memory without unit", "name: lab\nsizes:\n  worker: {cpus: 2, memory: 512}\n", 3, ("no unit",), "such as 2GiB"
    ),
    Case("many without unit", "name: lab\nsizes:\n  worker: {memory: 4096}\n", 3, ("no unit",), "write 4096MiB"),
    Case("few without unit", "name: lab\nsizes:\n  worker: {cpus: 2, memory: 4}\n", 3, ("no unit",), "write 4GiB"),
    Case("no memory", "name: lab\nsizes:\n  worker: {cpus: 2, memory: 0}\n", 3, ("no unit",), "such as 2GiB"),
    Case("memory in G", "name: lab\nsizes:\n  worker: {cpus: 2, memory: 3G}\n", 3, ("`3G`",), "write 3GiB"),
    Case(
        "memory in small letters", "name: lab\nsizes:\n  worker: {cpus: 2, memory: 2048 mb}\n", 3, (), "write 2048MiB"
    ),
    Case("memory with a point", "name: lab\nsizes:\n  worker: {cpus: 2, memory: 1.5GiB}\n", 3, ("whole number",)),
    Case("no processors", "name: lab\nsizes:\n  worker: {cpus: 0, memory: 2GiB}\n", 3, ("`0`", "above 0")),
    Case("infinite processors", "name: lab\nsizes:\n  worker: {cpus: .inf, memory: 2GiB}\n", 3, ("`.inf`",)),
    Case("too many processors", "name: lab\nsizes:\n  worker: {cpus: 1e9, memory: 2GiB}\n", 3, ("1024",)),
    Case("host bits", lan("  lan: 10.80.0.5/24\n"), 3, ("`10.80.0.5/24`", "bits"), "write 10.80.0.0/24"),
    Case("no range", lan("  lan: ten\n"), 3, ("`ten`", "IPv4 range"), "10.80.0.0/24"),
    Case("a prefix of 33", lan("  lan: 10.0.0.0/33\n"), 3, ("IPv4 range",)),
    Case("IPv6 for the LAN", lan("  lan: fd00::/64\n"), 3, ("IPv6",), "IPv4"),
    Case("a number for the LAN", lan("  lan: 10\n"), 3, ("`10`",)),
    Case("no address", lan("  floating-address: 10.80.0.256\n"), 3, ("`10.80.0.256`", "IPv4 address")),
    Case("a number for an address", lan("  floating-address: 10.80\n"), 3, ("`10.80`", "IPv4 address")),
    Case("IPv6 host bits", lan("  ipv6: fd00:80::1/64\n"), 3, ("bits",), "write fd00:80::/64"),
    Case("IPv4 for IPv6", lan("  ipv6: 10.0.0.0/24\n"), 3, ("IPv6 range",)),
    Case("domain", lan("  domain: Example.ORG.\n"), 3, ("DNS domain",), "write example.org"),
    Case("no better domain", lan("  domain: '-a-.B'\n"), 3, ("DNS domain",), "such as groundplane.internal"),
    Case("domain too long", lan(f"  domain: {'.'.join(['a' * 60] * 5)}\n"), 3, ("DNS domain",)),
    Case(
        "MAC with hyphens", single("  - {name: w, role: worker, mac: 52-54-00-12-34-56}\n"), 7, (), "52:54:00:12:34:56"
    ),
    Case("MAC too short", single("  - {name: w, role: worker, mac: '52:54:00:12:34'}\n"), 7, ("MAC address",)),
    Case("release", "name: lab\nimage: {release: '12'}\n", 2, ("`12`", "code name")),
    Case("number for release", "name: lab\nimage: {release: 12}\n", 2, ("`12`", "code name")),
    Case("distribution", "name: lab\nimage: {distribution: debain}\n", 2, ("`debain`",), "did you mean 'debian'?"),
    Case("mirror", "name: lab\nimage: {mirror: deb.example}\n", 2, ("package archive",), "http://"),
    Case("mirror with a blank", "name: lab\nimage: {mirror: 'http://a/ [trusted=yes]'}\n", 2, ("package archive",)),
    Case("version as a number", "name: lab\nkubernetes: {version: 1.37}\n", 2, ("`1.37`",), "all three numbers"),
    Case(
        "a bad name server",
        lan("  uplink: {address: 192.0.2.2/24, router: 192.0.2.1, nameservers: [x]}\n"),
        3,
        ("`x`",),
    ),
]

UP = "  uplink:\n    address: {}\n    router: {}\n    nameservers: [{}]\n"

NETWORK = [
    Case("LAN and pods", lan("  lan: 10.244.0.0/24\n"), 3, ("overlaps kubernetes.pods", "default"), "common"),
    Case("LAN and Services", lan("  lan: 10.96.7.0/24\n"), 3, ("overlaps kubernetes.services",)),
    Case(
        "pods and Services",
        "name: lab\nkubernetes:\n  pods: 10.0.0.0/16\n  services: 10.0.0.0/20\n",
        4,
        ("kubernetes.pods",),
    ),
    Case("pods over the LAN", "name: lab\nkubernetes: {pods: 10.80.0.0/16}\n", 2, ("network.lan",)),
    Case("later of two", "name: lab\nkubernetes: {pods: 10.1.0.0/16}\nnetwork: {lan: 10.1.2.0/24}\n", 3, ("pods",)),
    Case("uplink and LAN", lan(UP.format("10.80.0.7/16", "10.80.1.1", "")), 4, ("overlaps network.lan",)),
    Case("LAN too wide", lan("  lan: 192.0.0.0/8\n"), 3, ("too wide",), "/16 to /29"),
    Case("LAN too narrow", lan("  lan: 10.80.0.0/30\n"), 3, ("too narrow",), "10.80.0.0/24"),
    Case("LAN without prefix", lan("  lan: 10.80.0.0\n"), 3, ("too narrow",), "10.80.0.0/24"),
    Case("LAN of one", lan("  lan: 10.80.0.0/31\n"), 3, ("too narrow",)),
    Case("LAN multicast", lan("  lan: 224.0.0.0/24\n"), 3, ("multicast",)),
    Case("LAN loopback", lan("  lan: 127.0.1.0/24\n"), 3, ("loopback",)),
    Case("LAN link-local", lan("  lan: 169.254.0.0/24\n"), 3, ("link-local",)),
    Case("LAN of no host", lan("  lan: 0.0.0.0/16\n"), 3, ("no host",)),
    Case("pods too narrow", "name: lab\nkubernetes: {pods: 10.1.0.0/25}\n", 2, ("too narrow",)),
    Case("pods for few nodes", "name: lab\nkubernetes: {pods: 10.1.0.0/22}\n", 2, ("fewer than 5",), "a /21"),
    Case(
        "pods for many nodes", "name: lab\nmachines: {worker: 300}\nnetwork: {lan: 10.80.0.0/16}\n", 1, ("303",), "/15"
    ),
    Case("Services too wide", "name: lab\nkubernetes: {services: 10.0.0.0/8}\n", 2, ("too wide",)),
    Case("Services too narrow", "name: lab\nkubernetes: {services: 10.0.0.0/29}\n", 2, ("too narrow",)),
    Case("a LAN of all", single("network: {lan: 0.0.0.0/0}\n"), 7, ("too wide",)),
    Case(
        "too many machines",
        "name: lab\nmachines: {worker: 200}\n",
        1,
        ("too few addresses",),
        "widen network.lan to 10.80.0.0/23",
    ),
    Case("too small a LAN", lan("  lan: 10.80.0.0/29\n"), 3, ("too few addresses",)),
    Case("pool too large", lan("  dhcp-pool: {first: 10.80.0.2, last: 10.80.0.250}\n"), 3, ("too few addresses",)),
    Case(
        "no address for this computer",
        "name: lab\nnetwork:\n  lan: 10.80.0.0/29\n  dhcp-pool: {first: 10.80.0.6, last: 10.80.0.6}\n"
        "balancers: {accept-single-point-of-failure: true}\n"
        "machines: {balancer: 1, control-plane: 1, worker: 1}\n",
        3,
        ("no address left for this computer",),
        "widen network.lan to 10.80.0.0/28",
    ),
    Case("pool outside", lan("  dhcp-pool:\n    first: 10.81.0.5\n    last: 10.81.0.9\n"), 4, ("outside the LAN",)),
    Case("pool to broadcast", lan("  dhcp-pool:\n    first: 10.80.0.200\n    last: 10.80.0.255\n"), 5, ("broadcast",)),
    Case(
        "pool reversed",
        lan("  dhcp-pool:\n    first: 10.80.0.250\n    last: 10.80.0.200\n"),
        5,
        ("before it begins",),
        "swap",
    ),
    Case("gateway in the pool", lan("  dhcp-pool: {first: 10.80.0.1, last: 10.80.0.9}\n"), 3, ("gateway",)),
    Case("floating outside", lan("  floating-address: 10.81.0.10\n"), 3, ("outside the LAN",)),
    Case("floating broadcast", lan("  floating-address: 10.80.0.255\n"), 3, ("broadcast",)),
    Case("floating range", lan("  floating-address: 10.80.0.0\n"), 3, ("range 10.80.0.0/24 itself",)),
    Case("floating gateway", lan("  floating-address: 10.80.0.1\n"), 3, ("gateway's own",), "10.80.0.2"),
    Case(
        "floating in default pool",
        lan("  floating-address: 10.80.0.200\n"),
        3,
        ("DHCP pool", "last quarter"),
        "outside",
    ),
    Case(
        "floating in the pool",
        lan("  floating-address: 10.80.0.50\n  dhcp-pool: {first: 10.80.0.40, last: 10.80.0.60}\n"),
        3,
        ("DHCP pool (10.80.0.40 to 10.80.0.60)",),
    ),
    Case(
        "floating on a machine",
        single("  - {name: w, role: worker, address: 10.80.0.77}\nnetwork: {floating-address: 10.80.0.77}\n"),
        8,
        ("address of w", "line 7"),
    ),
    Case("IPv6 not /64", lan("  ipv6: fd00:80::/48\n"), 3, ("not a /64",), "write fd00:80::/64"),
    Case("IPv6 narrower", lan("  ipv6: fd00:80::/80\n"), 3, ("not a /64",)),
    Case("IPv6 with a scope", lan("  ipv6: 'fd00:80::%eth0/64'\n"), 3, ("names a card",), "write fd00:80::/64"),
    Case("IPv6 with lines", lan('  ipv6: "fd00:80::%\\nserver=6.6.6.6\\n# /64"\n'), 3, ("<U+000A>", "U+000A")),
    Case("IPv6 link-local", lan("  ipv6: fe80::/64\n"), 3, ("can't be given",)),
    Case("IPv6 multicast", lan("  ipv6: ff02::/64\n"), 3, ("can't be given",)),
    Case("IPv6 of nobody", lan("  ipv6: '::/64'\n"), 3, ("can't be given",), "fd00:80::/64"),
    Case("IPv6 of everybody", lan("  ipv6: '::/0'\n"), 3, ("can't be given",), "fd00:80::/64"),
    Case("IPv6 site-local", lan("  ipv6: fec0::/64\n"), 3, ("fc00::/7 and 2000::/3",)),
    Case(
        "uplink's router", lan(UP.format("192.0.2.2/24", "192.0.3.1", "")), 5, ("192.0.3.1", "outside"), "192.0.2.0/24"
    ),
    Case("uplink's own", lan(UP.format("192.0.2.2/24", "192.0.2.2", "")), 5, ("own outer address",)),
    Case("uplink without prefix", lan(UP.format("192.0.2.2", "192.0.2.1", "")), 4, ("no room for a router",)),
    Case("uplink's range", lan(UP.format("192.0.2.0/24", "192.0.2.1", "")), 4, ("itself",), "192.0.2.2/24"),
    Case("uplink loopback", lan(UP.format("127.0.0.2/24", "127.0.0.1", "")), 4, ("loopback",)),
    Case("nameserver itself", lan(UP.format("192.0.2.2/24", "192.0.2.1", "10.80.0.1")), 6, ("ask itself",)),
    Case("nameserver floating", lan(UP.format("192.0.2.2/24", "192.0.2.1", "10.80.0.10")), 6, ("floating address",)),
    Case("nameserver a machine", lan(UP.format("192.0.2.2/24", "192.0.2.1", "10.80.0.21")), 6, ("address of cp1",)),
    Case("nameserver outer", lan(UP.format("192.0.2.2/24", "192.0.2.1", "192.0.2.2")), 6, ("ask itself",)),
    Case("nameserver Service", lan(UP.format("192.0.2.2/24", "192.0.2.1", "10.96.0.10")), 6, ("Services",)),
    Case("nameserver pod", lan(UP.format("192.0.2.2/24", "192.0.2.1", "10.244.1.2")), 6, ("pods",)),
    Case("nameserver range", lan(UP.format("192.0.2.2/24", "192.0.2.1", "192.0.2.0")), 6, ("uplink's range",)),
    Case("nameserver everybody", lan(UP.format("192.0.2.2/24", "192.0.2.1", "192.0.2.255")), 6, ("broadcast",)),
    Case("nameserver no address", lan(UP.format("192.0.2.2/24", "192.0.2.1", "dns")), 6, (), "such as 192.0.2.53"),
    Case("nameservers", lan(UP.format("192.0.2.2/24", "192.0.2.1", "192.0.2.3," * 17)), 6, ("more than 16",)),
    Case("nameserver loopback", lan(UP.format("192.0.2.2/24", "192.0.2.1", "127.0.0.53")), 6, ("no name server",)),
    Case("cluster.local", lan("  domain: cluster.local\n"), 3, ("Services inside",)),
    *(
        Case(f"the domain {domain}", lan(f"  domain: {domain}\n"), 3, (domain, "RFC "), "groundplane.internal")
        for domain in (
            "arpa",
            "1.168.192.in-addr.arpa",
            "in-addr.arpa",
            "8.b.d.0.ip6.arpa",
            "local",
            "onion",
            "a.onion",
        )
    ),
    *(
        Case(f"the domain {domain}", lan(f"  domain: {domain}\n"), 3, (domain, "RFC 6761"), "groundplane.internal")
        for domain in ("test", "invalid", "example", "localhost")
    ),
    Case("localhost domain", lan("  domain: lab.localhost\n"), 3, ("RFC 6761",)),
    Case("domain like an address", lan("  domain: 10.0.0.1\n"), 3, ("number",)),
    Case(
        "domain leaves no room",
        lan("  domain: {}\n".format(".".join(["a" * 61] * 4))),
        3,
        ("247 characters",),
        "at most 241",
    ),
]

MACHINES = [
    Case("two of a name", single("  - {name: cp, role: worker}\n"), 7, ("name cp", "line 6")),
    Case("reserved api", single("  - {name: api, role: worker}\n"), 7, ("`api`", "platform itself"), "worker1"),
    Case("reserved registry", single("  - {name: registry, role: worker}\n"), 7, ("`registry`",)),
    *(
        Case(f"reserved {name}", single(f"  - {{name: {name}, role: worker}}\n"), 7, (f"`{name}`",), "worker1")
        for name in NAMES_WITH_A_MEANING
    ),
    Case("reserved localhost", single("  - {name: localhost, role: worker}\n"), 7, ("`localhost`",)),
    Case("lease time", single("  - {name: 12h, role: worker}\n"), 7, ("dnsmasq",), "worker1"),
    Case("ignored host", single("  - {name: ignore, role: worker}\n"), 7, ("dnsmasq",)),
    Case("digits", single("  - {name: '007', role: worker}\n"), 7, ("all digits",)),
    Case("long", single(f"  - {{name: {'w' * 64}, role: worker}}\n"), 7, ("64 characters",)),
    Case(
        "multicast MAC", single("  - {name: w, role: worker, mac: 01:00:5e:00:00:01}\n"), 7, ("multicast",), "00:00:5e"
    ),
    Case("MAC of zeros", single("  - {name: w, role: worker, mac: 00:00:00:00:00:00}\n"), 7, ("no card",)),
    Case(
        "MAC twice",
        single(
            "  - {name: a, role: worker, mac: 52:54:00:12:34:5A}\n  - {name: b, role: worker, mac: 52:54:00:12:34:5a}\n"
        ),
        8,
        ("already in line 7",),
    ),
    Case(
        "outside", single("  - {name: w, role: worker, address: 10.81.0.5}\n"), 7, ("outside the LAN",), "10.80.0.1 to"
    ),
    Case("broadcast", single("  - {name: w, role: worker, address: 10.80.0.255}\n"), 7, ("broadcast",)),
    Case("range", single("  - {name: w, role: worker, address: 10.80.0.0}\n"), 7, ("itself",)),
    Case("gateway's", single("  - {name: w, role: worker, address: 10.80.0.1}\n"), 7, ("gateway's address",)),
    Case("in the pool", single("  - {name: w, role: worker, address: 10.80.0.222}\n"), 7, ("DHCP pool",), "dhcp-pool"),
    Case(
        "twice",
        single("  - {name: a, role: worker, address: 10.80.0.9}\n  - {name: b, role: worker, address: 10.80.0.9}\n"),
        8,
        ("already in line 7",),
    ),
    Case(
        "no gateway",
        SINGLE.replace("  - {name: gw, role: gateway}\n", ""),
        3,
        ("no machine is the gateway",),
        "role: gateway",
    ),
    Case("two gateways", single("  - {name: g2, role: gateway}\n"), 7, ("second gateway", "line 4")),
    Case(
        "no control plane",
        SINGLE.replace("  - {name: cp, role: control-plane}\n", ""),
        3,
        ("no machine is a control plane",),
    ),
    Case("no balancer", SINGLE.replace("  - {name: lb, role: balancer}\n", ""), 3, ("no machine is a balancer",)),
    Case("an empty list", "name: lab\nmachines: []\n", 2, ("gateway",)),
    Case("even list", single("  - {name: c2, role: control-plane}\n"), 7, ("2 control planes",), "1 or 3"),
    Case("even count", "name: lab\nmachines: {control-plane: 4}\n", 2, ("4 control planes",), "3 or 5"),
    Case("too many", single("".join(f"  - {{name: c{n}, role: control-plane}}\n" for n in range(10))), 16, ("11",)),
    Case(
        "one balancer", "name: lab\nmachines: {balancer: 1}\n", 2, ("one balancer",), "accept-single-point-of-failure"
    ),
    Case(
        "four balancers",
        single("".join(f"  - {{name: l{number}, role: balancer}}\n" for number in (2, 3, 4))),
        9,
        ("4 balancers",),
        "three",
    ),
    Case("no role at all", single("  - {name: w}\n"), 7, ("`role` is missing",), "role: worker"),
    Case("an empty role", single("  - {name: w, role: }\n"), 7, ("the value is empty",), "write gateway or"),
    Case("empty roles", single("  - {name: w, roles: }\n"), 7, ("`role` is missing",), "role: worker"),
    Case("an empty list of roles", single("  - {name: w, roles: []}\n"), 7, ("empty",), "list of roles"),
    Case("an unknown one of roles", single("  - {name: w, roles: [worker, router]}\n"), 7, ("router",), "gateway or"),
    Case("role and roles", single("  - {name: w, role: worker, roles: [worker]}\n"), 7, ("both",), "keep one"),
    Case("a role twice", single("  - {name: w, roles: [worker, worker]}\n"), 7, ("twice",), "[worker]"),
    Case("a second gateway among roles", single("  - {name: g, roles: [worker, gateway]}\n"), 7, ("second gateway",)),
    Case(
        "the gateway as one of two balancers",
        "name: lab\nmachines: [{name: a, roles: [gateway, balancer]}, {name: b, roles: [balancer, control-plane]}]\n",
        2,
        ("vote", "one of two balancers"),
        "three balancers",
    ),
    Case(
        "two control planes among roles",
        single("  - {name: w, roles: [worker, control-plane]}\n"),
        7,
        ("2 control planes",),
        "odd",
    ),
    Case(
        "too little for all roles",
        single("  - {name: w, roles: [worker, balancer], size: {memory: 1000MiB}}\n"),
        7,
        ("1000MiB", "balancer and worker"),
        "1024MiB",
    ),
    Case(
        "small control plane", "name: lab\nsizes:\n  control-plane: {cpus: 2, memory: 1GiB}\n", 3, ("1GiB",), "1536MiB"
    ),
    Case("small worker", single("  - {name: w, role: worker, size: {cpus: 1, memory: 64MiB}}\n"), 7, ("64MiB",)),
    Case("slow", "name: lab\nsizes:\n  gateway: {cpus: 0.01, memory: 1GiB}\n", 3, ("0.01",), "0.1"),
    Case("too large", "name: lab\nsizes:\n  gateway: {cpus: 1, memory: 9999999GiB}\n", 3, ("any machine",), "unit"),
]

SOFTWARE = [
    Case("unknown version", "name: lab\nkubernetes: {version: 1.20.1}\n", 2, ("1.20.1",), "1.37.2, 1.36.3"),
    Case("version with v", "name: lab\nkubernetes: {version: v1.36.3}\n", 2, ("v1.36.3",), "write 1.36.3"),
    Case("near version", "name: lab\nkubernetes: {version: 1.36.9}\n", 2, ("1.36.9",), "write 1.36.3"),
    Case("quoted half", "name: lab\nkubernetes: {version: '1.37'}\n", 2, (), "write 1.37.2"),
    Case("unknown release", "name: lab\nimage: {release: sarge}\n", 2, ("`sarge`",), "bookworm or trixie"),
    Case("the other's", "name: lab\nimage: {release: noble}\n", 2, ("`noble`", "of ubuntu")),
    Case("ubuntu alone", "name: lab\nimage: {distribution: ubuntu}\n", 2, ("release",), "jammy or noble"),
    Case("password", "name: lab\nimage: {mirror: 'http://me:secret@mirror.example/'}\n", 2, ("password",)),
    Case("no host", "name: lab\nimage: {mirror: 'http:///debian'}\n", 2, ("names no host",)),
    Case("bad port", "name: lab\nimage: {mirror: 'http://a.example:99999/debian'}\n", 2, ("port",), "write it as http"),
    Case("port zero", "name: lab\nimage: {mirror: 'http://a.example:0/debian'}\n", 2, ("port 0",)),
    Case("a bell in a host", 'name: lab\nimage: {mirror: "http://a\\x07/debian"}\n', 2, ("U+0007",)),
    Case("a line in a version", 'name: lab\nkubernetes: {version: "1.37.2\\n"}\n', 2, ("U+000A",)),
    Case("bad host", "name: lab\nimage: {mirror: 'http://a]/debian'}\n", 2, ("package archive",)),
    *(
        Case(
            f"the host {host}",
            f"name: lab\nimage: {{mirror: 'http://{host}/'}}\n",
            2,
            ("neither a host",),
            "write it as http",
        )
        for host in (".", "a..b", "-a", "256.1.1.1", 'a"x', "1.2.3", "a" * 64)
    ),
    Case("a dot for a host", "name: lab\nimage: {mirror: http://.}\n", 2, ("neither a host",)),
]

GROUPS = (
    ("form", FORM),
    ("keys", KEYS),
    ("values", VALUES),
    ("network", NETWORK),
    ("machines", MACHINES),
    ("soft", SOFTWARE),
)


def problems_of(text: str | bytes) -> tuple[Problem, ...]:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(InvalidCluster) as caught:
        load(raw, name="cluster.yaml", versions=VERSIONS)
    return caught.value.problems


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{group}: {case.id}") for group, cases in GROUPS for case in cases]
)
def test_is_refused(case: Case) -> None:
    problems = problems_of(case.text)
    fitting = [p for p in problems if p.line == case.line and all(word in p.message for word in case.words)]
    assert fitting, problems
    assert any(case.instead in problem.instead for problem in fitting), problems
    assert all(problem.instead and problem.message for problem in problems)
    # pydantic's and ruamel's own words don't reach a user.
    assert not any(word in str(problems) for word in ("Input should", "pydantic", "<unicode string>"))


@pytest.mark.parametrize(
    "text",
    [
        "name: lab\nimage: {release: sarge}\n",
        "name: lab\nnetwork:\n  lan: 10.80.0.5/24\n",
        "name: lab\nnetwork:\n  dhcp-pol: {first: 10.80.0.2, last: 10.80.0.9}\n  floating-address: 10.80.0.200\n",
        "name: lab\nworkers: 2\n",
        single("  - {name: w, rol: worker}\n"),
        single("  - {name: w, role: worker, address: 10.80.0.256}\n"),
        single("  - {name: w, roles: [router]}\n"),
        single("  - {name: w, roles: [7]}\n"),
        "name: lab\nnetwork: {uplink: {address: 192.0.2.2/24, router: 192.0.2.1, nameservers: [x]}}\n",
        "name: lab\nmachines: {control-plane: 4}\n",
        "name: Lab\n",
        "name: !!python/object/apply:os.system ['id']\n",
        "name: !!int 5\n",
        "name: lab\nimage: !mine [a]\n",
    ],
)
def test_one_fault_is_told_once(text: str) -> None:
    """No fault makes others up: what hangs on a faulty value is left alone until that value is right."""
    problems = problems_of(text)
    assert len({(problem.line, problem.column) for problem in problems}) == 1, problems
    assert len(problems) == 1, problems


def test_all_problems_come_at_once_in_the_order_of_lines() -> None:
    problems = problems_of(
        dedent("""\
        name: Lab_1
        network:
          lan: 10.80.0.5/24
          floating_address: 10.80.0.250
        kubernetes:
          version: 1.2.3
          pods: 10.96.0.0/16
        machines:
          - {name: gw, role: gateway}
          - {name: lb, role: balancr}
          - {name: gw, role: control-plane, size: {cpus: 2, memory: 1GiB}}
          - {name: w1, role: gateway, mac: 01:00:00:00:00:01}
        name: again
        """)
    )
    assert [problem.line for problem in problems] == [1, 3, 4, 6, 7, 10, 11, 11, 12, 12, 13]
    assert [problem.path for problem in problems][:4] == [
        "name",
        "network.lan",
        "network.floating_address",
        "kubernetes.version",
    ]
    assert problems[5].path == "machines[1].role"


@pytest.mark.parametrize("role", ["", ", role: workerr", ", rol: worker"])
def test_a_machine_without_a_fit_role_is_looked_at_all_the_same(role: str) -> None:
    problems = problems_of(single(f"  - {{name: cp{role}, address: 10.80.0.0, mac: 01:00:00:00:00:01}}\n"))
    assert {problem.path for problem in problems} >= {"machines[3].name", "machines[3].address", "machines[3].mac"}
    assert len(problems) == 4, problems


def test_the_second_value_of_a_key_is_checked_too() -> None:
    problems = problems_of(
        "name: lab\nnetwork:\n  lan: 10.80.0.0/24\n  domain: a\n  lan: 10.80.0.5/24\n"
        "machines: {worker: 2}\nmachines: {worker: two, gateway: 1}\n"
    )
    found = [(problem.line, problem.path, problem.message[:20]) for problem in problems]
    assert (5, "network.lan", "`lan` is given twice") in found
    assert (5, "network.lan", "`10.80.0.5/24` has b") in found
    assert (7, "machines.worker", "`two` is not a whole") in found
    # What is right where it is told first isn't told again.
    assert {line for line, _, _ in found} == {5, 7}


def test_the_third_value_of_a_key_is_checked_too() -> None:
    problems = problems_of("name: lab\nprovider: lab\nprovider: lab\nprovider: lob\n")
    assert [problem.line for problem in problems] == [3, 4, 4]


def test_columns_point_at_the_value() -> None:
    (problem,) = problems_of("name: lab\nimage: {release: sarge}\n")
    assert (problem.line, problem.column) == (2, 18)


def test_an_anchor_used_twice_is_understood() -> None:
    text = "name: lab\nsizes:\n  worker: &size {cpus: 2, memory: 4GiB}\n  control-plane: *size\n"
    spec = load(text.encode(), name="cluster.yaml", versions=VERSIONS)
    assert spec.sizes.control_plane == spec.sizes.worker


def test_values_yaml_1_1_would_spoil() -> None:
    text = single(
        "  - {name: on, role: worker, mac: 52:54:00:12:34:56}\n  - {name: 'no', role: worker, mac: 12:34:56:12:34:56}\n"
    )
    spec = load(text.encode(), name="cluster.yaml", versions=VERSIONS)
    assert isinstance(spec.machines, tuple)
    assert [(entry.name, entry.mac) for entry in spec.machines[3:]] == [
        ("on", "52:54:00:12:34:56"),
        ("no", "12:34:56:12:34:56"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "name: lab\t\n",
        "name:\tlab\t# tabs\n\t\nimage:\t\n  release: trixie\t\n",
        "name: lab\n\t# a comment\nmachines: {worker:\t2\t}\t\n",
        "--- \t\nname: 'lab'\t\n...\t\n",
    ],
)
def test_tabs_may_separate(text: str) -> None:
    assert load(text.encode(), name="cluster.yaml", versions=VERSIONS).name == "lab"


def test_the_first_of_several_documents_is_checked() -> None:
    problems = problems_of("name: Lab\n---\nname: Other\n")
    assert [(problem.line, problem.path) for problem in problems] == [(1, "name"), (2, "")]
    # Also where nothing can be made of what follows it.
    for behind in ("---\nname: [\n", "---\nname: *none\n", "...\nlab\n", "---\n" + "a: {" * 40):
        problems = problems_of(f"name: Lab\n{behind}")
        assert problems[0].path == "name"
        assert problems[1].line == 2 + behind.startswith("...")
        assert {problem.path for problem in problems[1:]} == {""}


def test_a_syntax_error_in_a_second_document_is_told_as_well() -> None:
    problems = problems_of("name: Lab\n---\nname: [\n")
    assert [(problem.line, problem.path) for problem in problems] == [(1, "name"), (2, ""), (3, "")]


def test_a_hundred_problems_are_told_and_the_others_counted() -> None:
    text = "name: lab\nmachines:\n" + "  - {name: N_, role: workr, adress: 1}\n" * 1200
    with pytest.raises(InvalidCluster) as caught:
        load(text.encode(), name="cluster.yaml", versions=VERSIONS)
    assert (len(caught.value.problems), caught.value.more) == (100, 3500)
    assert caught.value.what == "the cluster file has 3600 problems, of which the first 100 are told"
    assert caught.value.problems[-1].line == 36


def test_the_faults_of_a_file_that_is_too_large_are_told() -> None:
    text = "name: lab\nmachines:\n" + "  - {name: N_, role: workr, size: {cpus: 2, memory: 1GiB}}\n" * 3500
    with pytest.raises(InvalidCluster) as caught:
        load(text.encode(), name="cluster.yaml", versions=VERSIONS)
    whole, *others = caught.value.problems
    assert "more than 24000 values; what follows line" in whole.message
    assert [problem.path for problem in others[:3]] == ["machines[0].name", "machines[0].role", "machines[1].name"]
    assert len(others) == 99
    assert caught.value.more > 3000


@pytest.mark.parametrize(
    "text",
    [
        # The platform's name may follow, the last machine's role, more of its roles.
        "machines:\n" + "- {mac: 52:54:00:00:00:00, name: a, role: worker}\n" * 40,
        "name: lab\nmachines:\n" + "- {name: a, size: {cpus: 2, memory: 1GiB}, roles: [worker]}\n" * 40,
        "name: lab\nnetwork: {uplink: {nameservers: [" + "192.0.2.1, " * 200 + "]}}\n",
    ],
)
def test_nothing_is_told_of_what_was_not_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever reading ends."""
    for most in range(1, 90):
        monkeypatch.setattr(document, "MAX_NODES", most)
        (problem,) = problems_of(text)
        assert f"more than {most} values" in problem.message


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        # A second gateway, whoever is meant.
        (single("  - {name: w, role: gatway}\n"), "gateway'"),
        # The default's name is taken.
        (single("  - {name: worker1, role: worker}\n  - {role: worker}\n"), "worker1"),
        # The address of another machine.
        (single("  - {name: v, role: worker, address: 10.80.0.61}\n  - {name: w, role: worker, address: x}\n"), "0.61"),
        # A range that overlaps the pods'.
        ("name: lab\nnetwork: {lan: 10.80.0.5/24}\nkubernetes: {pods: 10.80.0.0/16}\n", "10.80.0.0/24"),
        # Eleven control planes are too many, nine leave none over.
        (single("".join(f"  - {{name: c{number}, role: control-plane}}\n" for number in range(9))), "11"),
        # No range around it is free.
        (
            "name: lab\nnetwork: {lan: 10.96.0.0/24}\nkubernetes: {services: 10.96.1.0/24}\nmachines: {worker: 200}\n",
            "/23",
        ),
    ],
)
def test_no_remedy_is_shown_that_would_be_refused(text: str, refused: str) -> None:
    assert not [problem for problem in problems_of(text) if refused in problem.instead]


BORNE = """{
  "name": "lab",
  "network": {"domain": "test"},
  "balancers": {"accept-single-point-of-failure": true},
  "machines": [
    {"name": "gateway", "role": "gateway"},
    {"name": "lb1", "role": "balancer"},
    {"name": "cp1", "role": "control-plane"},
    {"name": "wpad", "role": "worker"}
  ]
}
"""


def test_what_a_platform_was_built_with_is_no_problem_of_its_file() -> None:
    assert [problem.path for problem in problems_of(BORNE)] == ["network.domain", "machines[3].name"]
    built = ClusterSpec.model_validate_json(BORNE)
    assert load(BORNE.encode(), name="cluster.yaml", versions=VERSIONS, built=[built]) == built


@pytest.mark.parametrize(
    ("was", "now", "path", "instead"),
    [
        ("wpad", "isatap", "machines[3].name", "such as worker1"),
        ('"lb1"', '"localhost"', "machines[1].name", "such as lb1"),
        ('"test"', '"example"', "network.domain", "groundplane.internal"),
        ('"test"', '"test", "ipv6": "fd00::/48"', "network.ipv6", "fd00::/64"),
    ],
)
def test_what_else_is_wrong_with_it_is_one(was: str, now: str, path: str, instead: str) -> None:
    with pytest.raises(InvalidCluster) as caught:
        load(
            BORNE.replace(was, now).encode(),
            name="cluster.yaml",
            versions=VERSIONS,
            built=[ClusterSpec.model_validate_json(BORNE)],
        )
    (problem,) = caught.value.problems
    assert problem.path == path
    assert instead in problem.instead, "remedies are tried beside what it was built with"
