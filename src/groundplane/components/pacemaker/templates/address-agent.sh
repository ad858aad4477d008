{% import "ocf.sh.j2" as ocf %}
#!/bin/sh
# Resource agent: the floating address under a lease. Written by groundplane.
#
# Clients wait while it works, so it does the little that is needed here and no more: the same with IPaddr2 takes ten
# times as long. The lease's keeper lets nothing in for the address unless this agent has told it that it runs here;
# once the keeper has given it up this agent calls it failed, so that Pacemaker starts it anew where it belongs.
# An address that the keeper took beforehand isn't Pacemaker's before it was started.

# Says where send_arp lies.
. "${OCF_FUNCTIONS_DIR:-/usr/lib/ocf/lib/heartbeat}/ocf-directories"

ARMED={{ armed }}
LEAVING={{ leaving }}
TAKEN={{ taken }}
ADDRESS=$OCF_RESKEY_ip
CARD=$OCF_RESKEY_nic
OCF_SUCCESS=0 OCF_ERR_GENERIC=1 OCF_ERR_UNIMPLEMENTED=3 OCF_ERR_CONFIGURED=6 OCF_NOT_RUNNING=7

{{ ocf.metadata("floating-address", "An IPv4 address on a network card, answered for only while this balancer holds the lease on it.", "Floating address under a lease", "20s", "2s", "5s", (("ip", "The address"), ("nic", "The network card"))) }}
reason() {
    echo "ocf-exit-reason:$1" >&2
}

here() {
    [ -n "$(ip -oneline -4 address show dev "$CARD" to "$ADDRESS/32")" ]
}

# Neighbours learn the new owner at once; one that misses it has nine more chances. Not by send_arp itself: it would go on
# after the address has left.
announce() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -e "$ARMED" ] || break
        "$HA_BIN/send_arp" -i 100 -r 1 "$CARD" "$ADDRESS" auto not_used not_used
        sleep 0.1
    done
}

# Whether a client is still to be answered: it sent something not long ago (some things need no answer), and nothing was
# sent to it since. What a new connection was sent may be no more than TLS asks for: its first request is waited for all
# the same.
under_way() {
    ss -tinHO state established src "$ADDRESS" | awk '
        {
            sent = received = bytes = 0
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^lastsnd:/) sent = substr($i, 9) + 0
                if ($i ~ /^lastrcv:/) received = substr($i, 9) + 0
                if ($i ~ /^bytes_received:/) bytes = substr($i, 16) + 0
            }
            if (received < 200 && (received < sent || bytes < 4096)) waiting = 1
        }
        END { exit !waiting }'
}

start() {
    if ! : >"$ARMED"; then
        reason "the lease's keeper does not run: see journalctl -u {{ unit }}"
        return "$OCF_ERR_GENERIC"
    fi
    ip address replace "$ADDRESS/32" dev "$CARD" || return "$OCF_ERR_GENERIC"
    announce </dev/null >/dev/null 2>&1 &
    return "$OCF_SUCCESS"
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
        for _ in 1 2 3 4 5; do
            sleep 0.01
            under_way || break
        done
    fi
    rm -f "$ARMED" "$LEAVING" "$TAKEN"
    if here && ! ip address delete "$ADDRESS/32" dev "$CARD"; then
        here && return "$OCF_ERR_GENERIC"
    fi
    return "$OCF_SUCCESS"
}

monitor() {
    here || return "$OCF_NOT_RUNNING"
    [ -e "$ARMED" ] && return "$OCF_SUCCESS"
    [ -e "$TAKEN" ] && return "$OCF_NOT_RUNNING"
    reason "the address is here without a lease"
    return "$OCF_ERR_GENERIC"
}

validate() {
    [ -n "$ADDRESS" ] && [ -n "$CARD" ] && return "$OCF_SUCCESS"
    reason "ip and nic have to be given"
    return "$OCF_ERR_CONFIGURED"
}

{{ ocf.dispatch() }}