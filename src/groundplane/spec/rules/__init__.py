"""What must hold between the values of a cluster file. Each rule is a pure function from a ``Draft`` to Violations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from groundplane.spec.draft import Draft
from groundplane.spec.model import ClusterSpec
from groundplane.spec.problem import Problem, dotted
from groundplane.spec.remedy import Fault
from groundplane.spec.rules import machines, network, software
from groundplane.spec.rules.violation import Violation

Rule = Callable[[Draft], Iterator[Violation]]

RANGE_RULES: tuple[Rule, ...] = (network.ranges_are_usable, network.ranges_have_sensible_sizes)

RULES: tuple[Rule, ...] = (
    network.ranges_stay_apart,
    network.pool_is_inside,
    network.floating_address_is_free,
    network.ipv6_is_a_64,
    network.uplink_leads_outside,
    network.name_servers_are_others,
    network.domain_is_ours,
    network.names_fit_the_domain,
    machines.names_are_host_names,
    machines.names_are_unique,
    machines.macs_are_unique,
    machines.addresses_are_free,
    machines.roles_are_said_once,
    machines.roles_are_filled,
    machines.control_planes_are_odd,
    machines.balancers_are_few,
    machines.the_vote_is_a_third,
    machines.sizes_suffice,
    machines.range_has_room,
    software.release_is_known,
    software.mirror_is_an_address,
)


def broken(draft: Draft, versions: Sequence[str], built: Sequence[ClusterSpec] = ()) -> Iterator[Fault]:
    """Every rule the draft breaks, each at its place in the file, but for what one of ``built`` bears."""
    findings = [finding for rule in RANGE_RULES for finding in rule(draft)]
    draft = network.with_usable_lan(draft)
    findings.extend(finding for rule in RULES for finding in rule(draft))
    findings.extend(software.version_is_supported(draft, versions))
    for finding in findings:
        if any(map(finding.borne, built)):
            continue
        at = draft.document.place(finding.path, key=finding.at_key)
        problem = Problem(*at, dotted(finding.path), finding.message, finding.instead)
        yield Fault(problem, finding.remedies)
