#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows weft at work: three nodes in network namespaces of this machine, a real etcd, pods made by the CNI plugin, traffic
# between them, and where each packet went. Installs what it needs, builds into build/, cleans up after itself.
#
#   sudo scripts/demo.sh [options]
#     --keep             leave the cluster up, and say how to look around in it
#     --down             remove a cluster that was left up
#     --datapath MODE    where the outer header is popped: auto (default), tc or xdp
#     --no-install       do not look for missing packages
#     --no-build         take build/bin as it is
# All traffic stays inside the namespaces. Exit status: 0 when everything was as expected.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly prefix=weft-demo
readonly state=/run/$prefix bpf=/sys/fs/bpf/$prefix lock=/run/$prefix.lock
readonly network=10.244.0.0/16 etcd_ip=192.0.2.250 etcd_url=http://192.0.2.250:2379
readonly nodes=(node1 node2 node3) pods_per_node=2
readonly bin=$PWD/build/bin

keep=0 down=0 install=1 build=1 datapath=auto
problems=0
declare -A pod_ip # by "node1-pod1"
pods=()

# --- words on the screen -------------------------------------------------------------------------------------------------

if [[ -t 1 ]]; then bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'; else bold='' red='' plain=''; fi

heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "$*"; }
indent() { sed 's/^/  /'; }

# Something is not as expected: told at once, and the demo ends with 1.
problem() {
    printf '%sNOT AS EXPECTED: %s%s\n' "$red" "$*" "$plain"
    problems=$((problems + 1))
}

die() {
    printf '%sdemo.sh: %s%s\n' "$red" "$*" "$plain" >&2
    exit 1
}

usage() { sed -n '3,12s/^# \{0,1\}//p' "$0"; }

parse() {
    while (($#)); do
        case $1 in
        --keep) keep=1 ;;
        --down) down=1 ;;
        --no-install) install=0 ;;
        --no-build) build=0 ;;
        --datapath)
            [[ ${2-} =~ ^(auto|tc|xdp)$ ]] || die "--datapath: auto, tc or xdp"
            datapath=$2 && shift
            ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown argument \"$1\" (--help tells more)" ;;
        esac
        shift
    done
}

# --- namespaces ----------------------------------------------------------------------------------------------------------

# Runs a command in a namespace of the demo. nsenter, because `ip netns exec` hides the BPF filesystem.
in_ns() {
    local ns=$1
    shift
    nsenter --net="/run/netns/$prefix-$ns" "$@"
}

# Starts a command in a namespace, in the background, in a session of its own: Ctrl-C reaches the demo alone, which then
# cleans up. It must not inherit the lock.
start_in_ns() {
    local ns=$1 log=$2
    shift 2
    setsid nsenter --net="/run/netns/$prefix-$ns" "$@" >"$log" 2>&1 </dev/null 9>&- &
    disown # the shell has nothing to say about its end
}

# Waits up to $1 seconds until the rest, a command, succeeds.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}

# A namespace with an uplink on the switch.
add_machine() {
    local name=$1 address=$2
    ip netns add "$prefix-$name"
    in_ns "$name" ip link set lo up
    in_ns switch ip link add "$name" type veth peer name eth0 netns "$prefix-$name"
    in_ns switch ip link set "$name" master lan up
    in_ns "$name" ip link set eth0 up
    in_ns "$name" ip address add "$address/24" dev eth0
}

# Removes whatever a demo made, finished or not.
clean_up() {
    local path pids
    for path in /run/netns/"$prefix"-*; do
        [[ -e $path ]] || continue
        pids=$(ip netns pids "${path##*/}" 2>/dev/null) || true
        if [[ -n $pids ]]; then
            xargs kill -KILL <<<"$pids" 2>/dev/null || true
            wait_for 5 namespace_is_idle "${path##*/}" || true
        fi
        ip netns delete "${path##*/}" || true
    done
    rm -rf -- "$bpf" "$state"
}

namespace_is_idle() { [[ -z $(ip netns pids "$1") ]]; }

# --- the cluster -----------------------------------------------------------------------------------------------------------

build_programs() {
    local options=() log=/dev/stdout
    heading "Building (minutes, the first time)"
    if [[ ! -f build/CMakeCache.txt ]] && command -v ninja >/dev/null; then options+=(-G Ninja); fi
    [[ -t 1 ]] || log=$(mktemp) # progress is for somebody who looks
    {
        cmake -S . -B build "${options[@]}" --log-level=NOTICE &&
            cmake --build build --parallel "$(nproc)" --target weftd weftctl weft
    } >"$log" 2>&1 9>&- || {
        [[ $log == /dev/stdout ]] || tail -n 30 "$log" >&2
        die "the build fails"
    }
    [[ $log == /dev/stdout ]] || rm -f -- "$log"
}

prepare() {
    if ((install)); then scripts/install-deps.sh build demo 9>&-; fi
    if ((build)); then build_programs; fi
    local program
    for program in weftd weftctl weft; do
        [[ -x $bin/$program ]] || die "$bin/$program is not there: run without --no-build"
    done
    if [[ $(stat -f -c %T /sys/fs/bpf 2>/dev/null) != bpf_fs ]]; then
        mount -t bpf bpf /sys/fs/bpf || die "this kernel has no BPF filesystem"
    fi
}

start_machines() {
    ip netns add "$prefix-switch"
    in_ns switch ip link add lan type bridge mcast_snooping 0
    in_ns switch ip link set lan up
    add_machine etcd "$etcd_ip"
    local n
    for n in "${!nodes[@]}"; do
        add_machine "${nodes[n]}" "192.0.2.$((n + 1))"
        in_ns "${nodes[n]}" ip route add default via "$etcd_ip"
    done
}

etcd_ctl() { ETCDCTL_API=3 in_ns etcd etcdctl --endpoints="$etcd_url" "$@"; }

start_etcd() {
    start_in_ns etcd "$state/etcd.log" etcd --name demo --data-dir "$state/etcd" --listen-client-urls "$etcd_url" \
        --advertise-client-urls "$etcd_url" --log-outputs=stderr --logger=zap
    wait_for 20 etcd_ctl endpoint health || {
        tail -n 5 "$state/etcd.log" >&2
        die "etcd does not start"
    }
    etcd_ctl put /coreos.com/network/config "{\"Network\": \"$network\", \"Backend\": {\"Type\": \"vxlan\"}}" >/dev/null
    say "etcd at $etcd_url, /coreos.com/network/config: $(etcd_ctl get --print-value-only /coreos.com/network/config)"
}

start_weftd() {
    local node=$1
    mkdir -p "$state/$node" "$bpf"
    start_in_ns "$node" "$state/$node/weftd.log" "$bin/weftd" --etcd-endpoints="$etcd_url" --iface=eth0 --ip-masq \
        --datapath="$datapath" --run-dir="$state/$node/run" --bpf-dir="$bpf/$node" \
        --subnet-file="$state/$node/subnet.env"
}

node_is_up() { [[ -s $state/$1/subnet.env ]] && [[ $(weftctl "$1" leases --json | jq length) == $((${#nodes[@]} - 1)) ]]; }

weftctl() {
    local node=$1
    shift
    in_ns "$node" "$bin/weftctl" "$@" --run-dir="$state/$node/run" --bpf-dir="$bpf/$node"
}

start_nodes() {
    local node
    for node in "${nodes[@]}"; do start_weftd "$node"; done
    for node in "${nodes[@]}"; do
        wait_for 20 node_is_up "$node" || {
            tail -n 20 "$state/$node/weftd.log" >&2
            die "weftd on $node does not get ready; above is the end of its log"
        }
        say "$node $(in_ns "$node" ip -4 -o address show dev eth0 | awk '{print $4}'): weftd holds" \
            "$(sed -n 's/^FLANNEL_SUBNET=//p' "$state/$node/subnet.env"), MTU" \
            "$(sed -n 's/^FLANNEL_MTU=//p' "$state/$node/subnet.env")"
    done
}

show_leases() {
    etcd_ctl get --prefix /coreos.com/network/subnets | paste - - | sed 's|^/coreos.com/network/subnets/||' | column -t |
        indent
    local found
    found=$(etcd_ctl get --prefix --keys-only /coreos.com/network/subnets | grep -c .) || true
    ((found == ${#nodes[@]})) || problem "$found leases in etcd for ${#nodes[@]} nodes"
}

# --- pods ------------------------------------------------------------------------------------------------------------------

write_conflist() {
    local node=$1
    jq -n --arg dir "$state/$node" --arg bpf "$bpf/$node" '{cniVersion: "1.0.0", name: "cbr0", plugins: [{type: "weft",
        subnetFile: ($dir + "/subnet.env"), runDir: ($dir + "/run"), bpfDir: $bpf, dataDir: ($dir + "/cni")}]}' \
        >"$state/$node/10-weft.conflist"
}

# Calls the plugin as a container runtime does: the plugin's part of the conflist on stdin, the rest in the environment.
cni() {
    local command=$1 node=$2 pod=$3
    jq '.plugins[0] + {cniVersion, name}' "$state/$node/10-weft.conflist" |
        in_ns "$node" env CNI_COMMAND="$command" CNI_CONTAINERID="$pod" CNI_NETNS="/run/netns/$prefix-$pod" \
            CNI_IFNAME=eth0 CNI_PATH="$bin" "$bin/weft"
}

add_pods() {
    local node n pod result begin end
    for node in "${nodes[@]}"; do
        write_conflist "$node"
        for ((n = 1; n <= pods_per_node; n++)); do
            pod=$node-pod$n
            ip netns add "$prefix-$pod"
            begin=$(date +%s%N)
            result=$(cni ADD "$node" "$pod") || die "CNI ADD of $pod: $result"
            end=$(date +%s%N)
            pod_ip[$pod]=$(jq -r '.ips[0].address | split("/")[0]' <<<"$result")
            pods+=("$pod")
            say "$pod has ${pod_ip[$pod]} ($(((end - begin) / 1000000)) ms, the shell's share included)"
        done
    done
}

# --- traffic -----------------------------------------------------------------------------------------------------------------

# The last of three round trips in ms, or nothing.
round_trip() {
    local out
    out=$(in_ns "$1" ping -n -c 3 -i 0.01 -W 2 "$2") && grep -q ' 0% packet loss' <<<"$out" &&
        sed -n 's/.*icmp_seq=3 .*time=\([0-9.]*\) ms/\1/p' <<<"$out"
}

ping_everything() {
    local from to ms
    printf '  %-12s' 'from \ to'
    printf ' %10s' "${pods[@]}"
    printf '\n'
    for from in "${pods[@]}"; do
        printf '  %-12s' "$from"
        for to in "${pods[@]}"; do
            if [[ $from == "$to" ]]; then ms='.'; else ms=$(round_trip "$from" "${pod_ip[$to]}") || ms=FAILED; fi
            printf ' %10s' "$ms"
            if [[ $ms == FAILED ]]; then problems=$((problems + 1)); fi
        done
        printf '\n'
    done
}

ping_from_node() {
    local ms
    if ms=$(round_trip "$1" "${pod_ip[$2]}"); then
        say "  $1 itself to $2: $ms ms"
    else
        problem "$1 itself cannot reach $2"
    fi
}

listens() { [[ -n $(in_ns "$1" ss -Hltn "sport = :$2") ]]; }

same_size() { [[ $(stat -c %s "$1") == $(stat -c %s "$2") ]]; }

# A file from one pod to another, and whether it is the same there.
send_file() {
    local from=$1 to=$2 sent received
    start_in_ns "$to" "$state/socat.log" socat -u TCP-LISTEN:7000,reuseaddr "CREATE:$state/received"
    wait_for 5 listens "$to" 7000 || die "socat does not listen in $to"
    timeout 30 nsenter --net="/run/netns/$prefix-$from" socat -u "FILE:$state/file" "TCP:${pod_ip[$to]}:7000" || true
    sent=$(sha256sum <"$state/file")
    # The receiver writes what is still under way after the sender has ended.
    wait_for 5 same_size "$state/file" "$state/received" || true
    received=$(sha256sum <"$state/received")
    if [[ $sent == "$received" ]]; then
        say "  $from to $to: 64 MiB, SHA-256 ${sent:0:16}... at both ends"
    else
        problem "a file sent from $from to $to arrives changed"
    fi
    rm -f -- "$state/received"
}

measure() {
    local from=$1 to=$2 rate
    start_in_ns "$to" "$state/iperf3.log" iperf3 --server --one-off
    wait_for 5 listens "$to" 5201 || die "iperf3 does not listen in $to"
    rate=$(in_ns "$from" timeout 30 iperf3 --client "${pod_ip[$to]}" --time 3 --json |
        jq -r 'if .end.sum_received then .end.sum_received.bits_per_second / 1e8 | round / 10 else empty end') || rate=
    if [[ -n $rate ]]; then
        say "  $from to $to: $rate Gbit/s, one TCP stream (iperf3, 3 s)"
    else
        problem "iperf3 from $from to $to fails"
    fi
}

transfers() {
    head -c $((64 * 1024 * 1024)) /dev/urandom >"$state/file"
    send_file node1-pod1 node2-pod1
    send_file node3-pod2 node1-pod2
    rm -f -- "$state/file"
    measure node1-pod1 node2-pod1
    measure node1-pod1 node1-pod2
}

look_at_the_wire() {
    start_in_ns node2 "$state/tcpdump.txt" tcpdump -i eth0 -nn -v -c 2 -l --immediate-mode udp port 8472
    wait_for 5 grep -q 'listening on' "$state/tcpdump.txt" || problem "tcpdump does not start"
    round_trip node1-pod1 "${pod_ip[node2-pod1]}" >/dev/null || true
    wait_for 5 grep -q 'packets captured' "$state/tcpdump.txt" || problem "no VXLAN on node2's uplink"
    grep -Ev 'listening on|packets? (captured|received|dropped)' "$state/tcpdump.txt" | indent
}

# --- where it went -----------------------------------------------------------------------------------------------------------

counted() { jq "[.[] | select(.program == \"$2\" and .reason == \"$3\") | .packets] | add // 0" <<<"$1"; }

show_node() {
    local node=$1 counters dropped
    heading "$node: leases of the others, its pods, and what its programs did"
    { weftctl "$node" leases && say "" && weftctl "$node" endpoints && say "" && weftctl "$node" counters; } | indent
    counters=$(weftctl "$node" counters --json)
    (($(counted "$counters" from_pod encap) > 0)) || problem "$node: the fast path encapsulated nothing"
    (($(counted "$counters" from_wire decap_to_pod) > 0)) || problem "$node: the fast path delivered nothing"
    dropped=$(jq -c '[.[] | select(.verdict == "drop") | {program, reason, packets}]' <<<"$counters")
    [[ $dropped == '[]' ]] || problem "$node: packets were dropped: $dropped"
}

show_routes() {
    in_ns node1 ip -4 route | indent
    local overlay
    overlay=$(in_ns node1 ip -4 route show dev weft.1 | grep -c .) || true
    ((overlay == 1)) || problem "$overlay routes lead into the overlay, not one"
}

finish() {
    if ((problems)); then
        heading "$problems things were not as expected; the daemons' logs:"
        tail -n 15 "$state"/node*/weftd.log
        exit 1
    fi
    heading "Everything was as expected"
    if ((keep)); then
        say "The cluster stays up. To look around:"
        say "  sudo nsenter --net=/run/netns/$prefix-node1-pod1 ping ${pod_ip[node2-pod1]}"
        say "  sudo nsenter --net=/run/netns/$prefix-node1 tcpdump -i eth0 -nn udp port 8472"
        say "  sudo nsenter --net=/run/netns/$prefix-node1 $bin/weftctl counters --bpf-dir=$bpf/node1 --run-dir=$state/node1/run"
        say "  sudo bpftool map dump pinned $bpf/node1/leases_v2"
        say "  sudo scripts/demo.sh --down"
    fi
}

on_exit() {
    local code=$?
    trap - EXIT INT TERM HUP
    if ((code || !keep)); then clean_up; fi
    exit "$code"
}

main() {
    parse "$@"
    ((EUID == 0)) || die "needs root, for network namespaces and BPF: sudo scripts/demo.sh"
    exec 9>"$lock"
    # What a killed demo had just started holds the lock until it ends, seconds later.
    flock --timeout 10 9 || die "another demo is running"
    if ((down)); then
        clean_up
        exit 0
    fi
    prepare
    clean_up # of a run that was killed, or left up
    trap on_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -p "$state" "$bpf"

    heading "Three nodes on one Ethernet segment, in network namespaces"
    start_machines
    start_etcd
    start_nodes
    heading "The leases in etcd, as flannel's nodes read and write them"
    show_leases
    heading "Two pods on each node, made by the CNI plugin"
    add_pods
    heading "Pings, round trip in ms"
    ping_everything
    ping_from_node node1 node2-pod1
    ping_from_node node3 node3-pod1
    heading "Transfers"
    transfers
    heading "On the wire: a ping as node2's uplink sees it"
    look_at_the_wire
    local node
    for node in "${nodes[@]}"; do show_node "$node"; done
    heading "node1's routes: one into the overlay, however many nodes there are"
    show_routes
    finish
}

main "$@"
