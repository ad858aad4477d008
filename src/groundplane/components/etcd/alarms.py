"""What to do about an alarm: etcd raises one where it can't go on safely, and keeps it until somebody has it cleared.

With NOSPACE it takes no write but deletions, with CORRUPT none at all (https://etcd.io/docs/v3.6/op-guide/maintenance/).
"""

from __future__ import annotations

from collections.abc import Sequence

from groundplane.components.cluster.paths import PKI

_ETCDCTL = (
    f"E='etcdctl --endpoints=https://127.0.0.1:2379 --cacert={PKI}/etcd/ca.crt"
    f" --cert={PKI}/etcd/healthcheck-client.crt --key={PKI}/etcd/healthcheck-client.key'"
)
_REVISION = """$($E endpoint status --write-out=json | grep -o '"revision":[0-9]*' | cut -d: -f2)"""
NO_SPACE = (
    "its database reached its quota: delete what filled it (`kubectl get --raw=/metrics | grep "
    "apiserver_resource_objects` counts each kind; objects by their names, pods with `--force`: what has to be marked "
    "first, such as a namespace, can't go yet), then on any control plane make room and clear the alarm: "
    f"`{_ETCDCTL}; $E compact {_REVISION}; $E --command-timeout=60s defrag --cluster; $E alarm disarm`"
)
CORRUPT = (
    "members have come to differ: on any control plane "
    f"`{_ETCDCTL}; $E endpoint hashkv --cluster` shows which, `$E member list` its ID, `$E member remove ID` takes it "
    "out; `groundplane up` then lets it join with the others' data, and `$E alarm disarm` clears the alarm"
)


def remedy(errors: Sequence[str]) -> str:
    """What to do about what a member reports of itself; empty where that is nothing we know."""
    said = " ".join(errors)
    known = {"NOSPACE": NO_SPACE, "CORRUPT": CORRUPT}
    return "; ".join(words for alarm, words in known.items() if alarm in said)
