#!/bin/sh
# Resource agent: the floating address under a lease. Written by groundplane.
#
# The address itself is IPaddr2's work. This agent tells the lease's keeper that the address runs here, and calls it failed
# once the keeper has given it up, so that Pacemaker starts it anew where it belongs.

: "${OCF_ROOT:=/usr/lib/ocf}"
: "${OCF_FUNCTIONS_DIR:=$OCF_ROOT/lib/heartbeat}"
. "$OCF_FUNCTIONS_DIR/ocf-shellfuncs"

ADDRESS="$OCF_ROOT/resource.d/heartbeat/IPaddr2"
ARMED={{ armed }}

case $1 in
    meta-data)
        # Its parameters are IPaddr2's.
        "$ADDRESS" meta-data | sed 's/resource-agent name="IPaddr2"/resource-agent name="floating-address"/'
        exit 0
        ;;
    start)
        # The keeper opens the gate while IPaddr2 is at work.
        if ! : > "$ARMED"; then
            ocf_exit_reason "the lease's keeper does not run: see journalctl -u {{ unit }}"
            exit "$OCF_ERR_GENERIC"
        fi
        "$ADDRESS" start
        ;;
    stop)
        rm -f "$ARMED"
        "$ADDRESS" stop
        ;;
    monitor)
        "$ADDRESS" monitor
        status=$?
        if [ "$status" -eq "$OCF_SUCCESS" ] && [ ! -e "$ARMED" ]; then
            ocf_exit_reason "the address is here without a lease"
            exit "$OCF_ERR_GENERIC"
        fi
        exit "$status"
        ;;
    *)
        exec "$ADDRESS" "$1"
        ;;
esac
exit $?
