{% import "ocf.sh.j2" as ocf %}
#!/bin/sh
# Resource agent: HAProxy as Pacemaker's. Written by groundplane.
#
# The systemd class would call a hung HAProxy healthy, because its process is there. This agent asks HAProxy itself
# over loopback, and systemd only when HAProxy doesn't answer.
#
# Stopping signals the processes rather than queueing a stop job: while the machine shuts down such a job waits
# for Pacemaker to end, and Pacemaker would wait for the job.
#
# While HAProxy runs here a node attribute says so, which Pacemaker's rule for the floating address reads.

: "${OCF_ROOT:=/usr/lib/ocf}"
: "${OCF_FUNCTIONS_DIR:=$OCF_ROOT/lib/heartbeat}"
. "$OCF_FUNCTIONS_DIR/ocf-shellfuncs"

UNIT=haproxy.service
HEALTH=http://127.0.0.1:{{ port }}{{ path }}

{{ ocf.metadata("haproxy", "HAProxy under systemd; healthy while it answers on loopback.", "HAProxy that answers", "10s", "1s", "10s") }}
answers() {
    curl --silent --fail --noproxy '*' --max-time 1 --output /dev/null "$HEALTH"
}

tell() {
    attrd_updater --name {{ attribute }} --update 1
}

untell() {
    attrd_updater --name {{ attribute }} --delete
}

running() {
    case $(systemctl show --property=ActiveState --value "$UNIT") in
        active | activating | reloading | deactivating) return 0 ;;
    esac
    return 1
}

monitor() {
    if answers; then
        # Pacemaker began anew, and doesn't start what it finds running.
        ocf_is_probe && tell
        return "$OCF_SUCCESS"
    fi
    running || return "$OCF_NOT_RUNNING"
    ocf_exit_reason "HAProxy runs but does not answer"
    return "$OCF_ERR_GENERIC"
}

start() {
    bring_up || return
    tell
    return "$OCF_SUCCESS"
}

bring_up() {
    answers && return "$OCF_SUCCESS"
    # What is left of a failed one would hold the unit, or count towards its start limit.
    stop
    systemctl reset-failed "$UNIT" 2>/dev/null
    if ! systemctl start "$UNIT"; then
        ocf_exit_reason "HAProxy did not start: see journalctl -u haproxy"
        return "$OCF_ERR_GENERIC"
    fi
    # Pacemaker bounds this loop with the action's timeout.
    until answers; do
        running || return "$OCF_ERR_GENERIC"
        sleep 0.1
    done
    return "$OCF_SUCCESS"
}

stop() {
    untell
    running || return "$OCF_SUCCESS"
    if answers; then
        systemctl kill --kill-whom=main --signal=TERM "$UNIT"
        left=20
        while running && [ "$left" -gt 0 ]; do
            sleep 0.1
            left=$((left - 1))
        done
    fi
    while running; do
        systemctl kill --kill-whom=all --signal=KILL "$UNIT"
        sleep 0.1
    done
    return "$OCF_SUCCESS"
}

validate() {
    check_binary curl
    check_binary systemctl
    if ! haproxy -c -q -f /etc/haproxy/haproxy.cfg; then
        ocf_exit_reason "HAProxy refuses its configuration"
        return "$OCF_ERR_CONFIGURED"
    fi
    return "$OCF_SUCCESS"
}

{{ ocf.dispatch() }}