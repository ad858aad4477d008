#!/bin/sh
# Resource agent: the floating address under a lease. Written by groundplane.
#
# Clients wait while it works, so it does the little that is needed here and no more: the same with IPaddr2 takes ten
# times as long. The lease's keeper lets nothing in for the address unless this agent has told it that it runs here;
# once the keeper has given it up this agent calls it failed, so that Pacemaker starts it anew where it belongs.

# Says where send_arp lies.
. "${OCF_FUNCTIONS_DIR:-/usr/lib/ocf/lib/heartbeat}/ocf-directories"

ARMED={{ armed }}
LEAVING={{ leaving }}
ADDRESS=$OCF_RESKEY_ip
CARD=$OCF_RESKEY_nic
SUCCESS=0 FAILED=1 UNIMPLEMENTED=3 UNCONFIGURED=6 NOT_RUNNING=7

metadata() {
    cat <<'END'
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="floating-address" version="1.0">
<version>1.1</version>
<longdesc lang="en">An IPv4 address on a network card, answered for only while this balancer holds the lease on it.</longdesc>
<shortdesc lang="en">Floating address under a lease</shortdesc>
<parameters>
<parameter name="ip" required="1"><shortdesc lang="en">The address</shortdesc><content type="string"/></parameter>
<parameter name="nic" required="1"><shortdesc lang="en">The network card</shortdesc><content type="string"/></parameter>
</parameters>
<actions>
<action name="start" timeout="30s"/>
<action name="stop" timeout="60s"/>
<action name="monitor" timeout="20s" interval="2s" depth="0"/>
<action name="meta-data" timeout="5s"/>
<action name="validate-all" timeout="5s"/>
</actions>
</resource-agent>
END
}

reason() {
    echo "ocf-exit-reason:$1" >&2
}

here() {
    [ -n "$(ip -oneline -4 address show dev "$CARD" to "$ADDRESS/32")" ]
}

# Neighbours learn the new owner at once; one that misses it has nine more chances.
announce() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -e "$ARMED" ] || break
        "$HA_BIN/send_arp" -i 100 -r 1 "$CARD" "$ADDRESS" auto not_used not_used
        sleep 0.1
    done
}

start() {
    if ! : >"$ARMED"; then
        reason "the lease's keeper does not run: see journalctl -u {{ unit }}"
        return "$FAILED"
    fi
    ip address replace "$ADDRESS/32" dev "$CARD" || return "$FAILED"
    announce </dev/null >/dev/null 2>&1 &
    return "$SUCCESS"
}

stop() {
    # New connections have to ask again, and reach the next owner; meanwhile the requests under way are answered.
    # The keeper sees to it, and takes the file when it has: its sets change all the time, and another nft would start
    # over whenever they do.
    if here && [ -e "$ARMED" ] && : >"$LEAVING"; then
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ -e "$LEAVING" ] || break
            sleep 0.01
        done
        sleep 0.06
    fi
    rm -f "$ARMED" "$LEAVING"
    if here && ! ip address delete "$ADDRESS/32" dev "$CARD"; then
        here && return "$FAILED"
    fi
    return "$SUCCESS"
}

monitor() {
    here || return "$NOT_RUNNING"
    [ -e "$ARMED" ] && return "$SUCCESS"
    reason "the address is here without a lease"
    return "$FAILED"
}

validate() {
    [ -n "$ADDRESS" ] && [ -n "$CARD" ] && return "$SUCCESS"
    reason "ip and nic have to be given"
    return "$UNCONFIGURED"
}

case $1 in
    meta-data) metadata ;;
    start) start ;;
    stop) stop ;;
    monitor) monitor ;;
    validate-all) validate ;;
    *) exit "$UNIMPLEMENTED" ;;
esac
exit $?
