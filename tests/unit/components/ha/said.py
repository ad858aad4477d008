"""What the tools on the machines say, as it was seen, with the parts that matter open to change."""

from __future__ import annotations

QUORUM_ALONE = """Quorum information
------------------
Date:             Mon Nov 23 18:31:13 2026
Quorum provider:  corosync_votequorum
Nodes:            1
Node ID:          1
Ring ID:          1.5
Quorate:          Yes

Votequorum information
----------------------
Expected votes:   1
Highest expected: 1
Total votes:      1
Quorum:           1  
Flags:            Quorate 

Membership information
----------------------
    Nodeid      Votes Name
         1          1 lb1 (local)
"""  # noqa: W291


def quorum(*, vote: str = "V", total: int = 3, quorate: str = "Yes") -> str:
    row = (
        "         0          1            Qdevice"
        if vote == "V"
        else "         0          0            Qdevice (votes 1)"
    )
    return f"""Quorum information
------------------
Date:             Mon Nov 23 18:31:13 2026
Quorum provider:  corosync_votequorum
Nodes:            2
Node ID:          1
Ring ID:          1.9
Quorate:          {quorate}

Votequorum information
----------------------
Expected votes:   3
Highest expected: 3
Total votes:      {total}
Quorum:           2
Flags:            Quorate Qdevice

Membership information
----------------------
    Nodeid      Votes    Qdevice Name
         1          1    A,{vote},NMW lb1 (local)
         2          1    A,{vote},NMW lb2
{row}
"""


def stats(**changed: str) -> str:
    head = "# pxname,svname,qcur,status,check_status,\n"
    rows = "".join(f"kube-apiserver,cp{n},0,{changed.get(f'cp{n}', 'UP')},L7OK,\n" for n in (1, 2, 3))
    return f"{head}api,FRONTEND,,OPEN,,\n{rows}kube-apiserver,BACKEND,0,UP,,\n"


def monitor(
    *,
    holders: tuple[str, ...] = ("lb2",),
    haproxy: tuple[str, ...] = ("lb1", "lb2"),
    online: tuple[str, ...] = ("lb1", "lb2"),
    quorate: bool = True,
    failure: bool = False,
) -> str:
    nodes = "".join(
        f'<node name="{name}" id="1" online="true" unclean="false" feature_set="3.20.0"/>' for name in online
    )
    clones = "".join(
        f'<resource id="haproxy" role="Started" active="true"><node name="{name}"/></resource>' for name in haproxy
    )
    held = "".join(f'<node name="{name}" id="2" cached="true"/>' for name in holders)
    failed = (
        '<failures><failure op_key="haproxy_monitor_1000" node="lb1" exitstatus="error" '
        'exitreason="HAProxy runs but does not answer"/></failures>'
        if failure
        else ""
    )
    role = "Started" if holders else "Stopped"
    return f"""<pacemaker-result api-version="2.38" request="crm_mon --one-shot --output-as=xml">
  <summary><current_dc present="true" name="lb1" id="1" with_quorum="{str(quorate).lower()}"/></summary>
  <nodes>{nodes}</nodes>
  <resources>
    <clone id="haproxy-clone">{clones}</clone>
    <resource id="floating-address" role="{role}">{held}</resource>
  </resources>
  {failed}
  <status code="0" message="OK"/>
</pacemaker-result>"""


def arping(*macs: str) -> str:
    replies = "".join(f"Unicast reply from 10.80.0.10 [{mac}]  0.550ms\n" for mac in macs)
    return f"ARPING 10.80.0.10 from 10.80.0.1 lan0\n{replies}Sent 3 probes (3 broadcast(s))\n"


def vote(*addresses: str, tls: str = "Yes (client certificate verified)") -> str:
    return 'Cluster "example":\n    Algorithm:\t\tFifty-Fifty split (KAP Tie-breaker)\n' + "".join(
        f"    Node ID {n}:\n        Client address:\t\t{address}:38552\n        HB interval:\t\t640ms\n"
        f"        TLS active:\t\t{tls}\n        Vote:\t\t\tNo change (ACK)\n"
        for n, address in enumerate(addresses, 1)
    )
