#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pod to pod across two nodes: host to host, flannel's data path and weft in both modes, side by side in one run.
#
#   sudo bench/pod_to_pod.sh [options]
#     --rounds N      each round runs every contender once, in turn (default 7)
#     --seconds S     of each measurement (default 2)
#     --wires LIST    of offload, framed, bare (default "offload framed")
#     --out FILE      the figures of every round as JSON (default bench/results/<date>-<commit>.json)
#
# Each contender of each round gets a fresh pair of nodes in network namespaces, joined by a veth pair. Sender on CPU 0, receiver on
# CPU 1; for latency both on CPU 1, so that it is the path's own work. A round in which somebody else used more than 5% of
# the machine is discarded and counted. Builds nothing: needs build/bin.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly prefix=weft-bench bin=$PWD/build/bin
readonly state=/run/$prefix bpf=/sys/fs/bpf/$prefix
readonly contenders=(host flannel weft-tc weft-xdp)
rounds=7 seconds=2 wires="offload framed" out=

die() {
    echo "pod_to_pod.sh: $*" >&2
    exit 1
}

while (($#)); do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    --wires) wires=$2 && shift ;;
    --out) out=$2 && shift ;;
    -h | --help) sed -n '3,13s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) die "unknown argument \"$1\"" ;;
    esac
    shift
done

in_ns() {
    local ns=$1
    shift
    nsenter --net="/run/netns/$prefix-$ns" "$@"
}

wait_for() {
    local deadline=$((SECONDS + 20))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || die "timed out: $*"
        sleep 0.05
    done
}

clean_up() {
    local path
    for path in /run/netns/"$prefix"-*; do
        [[ -e $path ]] || continue
        ip netns pids "${path##*/}" | xargs -r kill -KILL 2>/dev/null || true
        ip netns delete "${path##*/}"
    done
    rm -rf -- "$state" "$bpf"
}

# --- the nodes -----------------------------------------------------------------------------------------------------------

make_nodes() {
    local n
    mkdir -p "$state" "$bpf"
    for n in a b etcd pod-a pod-b; do
        ip netns add "$prefix-$n"
        in_ns "$n" ip link set lo up
    done
    ip link add eth0 netns "$prefix-a" type veth peer name eth0 netns "$prefix-b"
    in_ns a ip address add 192.0.2.1/24 dev eth0
    in_ns b ip address add 192.0.2.2/24 dev eth0
    for n in a b; do
        in_ns "$n" ip link set eth0 up
        in_ns "$n" sysctl -qw net.ipv4.ip_forward=1
    done
}

set_wire() {
    local n off
    case $1 in
    offload) off=() ;;
    framed) off=(tso off gso off gro on) ;;
    bare) off=(tso off gso off gro on tx off) ;;
    *) die "no such wire: $1" ;;
    esac
    for n in a b; do
        if ((${#off[@]})); then in_ns "$n" ethtool -K eth0 "${off[@]}" >/dev/null; fi
    done
}

# A node as flannel sets it up: vxlan device, cni0 bridge, static neighbour and FDB entries, its rules, bridge-nf on.
flannel_node() {
    local n=$1 i=$2 o=$((3 - $2))
    in_ns "$n" ip link add flannel.1 address 02:77:c0:00:02:0"$i" type vxlan id 1 local 192.0.2."$i" dev eth0 dstport 8472 nolearning
    in_ns "$n" ip link set flannel.1 up
    in_ns "$n" ip address add 10.244."$i".0/32 dev flannel.1
    in_ns "$n" ip link add cni0 mtu 1450 type bridge
    in_ns "$n" ip link set cni0 up
    in_ns "$n" ip address add 10.244."$i".1/24 dev cni0
    ip link add veth0 mtu 1450 netns "$prefix-$n" type veth peer name eth0 mtu 1450 netns "$prefix-pod-$n"
    in_ns "$n" ip link set veth0 master cni0 up
    in_ns pod-"$n" ip address add 10.244."$i".2/24 dev eth0
    in_ns pod-"$n" ip link set eth0 up
    in_ns pod-"$n" ip route add default via 10.244."$i".1
    in_ns "$n" ip neigh add 10.244."$o".0 lladdr 02:77:c0:00:02:0"$o" dev flannel.1 nud permanent
    in_ns "$n" bridge fdb add 02:77:c0:00:02:0"$o" dev flannel.1 dst 192.0.2."$o" self permanent
    in_ns "$n" ip route add 10.244."$o".0/24 via 10.244."$o".0 dev flannel.1 onlink
    in_ns "$n" sysctl -qw net.bridge.bridge-nf-call-iptables=1
    in_ns "$n" iptables-restore <<RULES
*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
-A FLANNEL-POSTRTG -s 10.244.$i.0/24 -d 10.244.0.0/16 -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.$i.0/24 -j RETURN
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.$i.0/24 -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
-A FLANNEL-FWD -d 10.244.0.0/16 -j ACCEPT
COMMIT
RULES
}

weft_nodes() {
    local mode=$1 n i=1
    in_ns etcd ip link add lan type bridge
    in_ns etcd ip link set lan up
    in_ns etcd ip address add 198.18.0.250/24 dev lan
    for n in a b; do
        in_ns etcd ip link add name "to-$n" type veth peer name ctl0 netns "$prefix-$n"
        in_ns etcd ip link set "to-$n" master lan up
        in_ns "$n" ip address add 198.18.0."$i"/24 dev ctl0
        in_ns "$n" ip link set ctl0 up
        i=2
    done
    setsid nsenter --net="/run/netns/$prefix-etcd" etcd --data-dir "$state/etcd" --listen-client-urls http://198.18.0.250:2379 \
        --advertise-client-urls http://198.18.0.250:2379 --log-outputs=stderr --logger=zap >"$state/etcd.log" 2>&1 &
    disown
    wait_for in_ns etcd etcdctl --endpoints=http://198.18.0.250:2379 endpoint health
    in_ns etcd etcdctl --endpoints=http://198.18.0.250:2379 put /coreos.com/network/config \
        '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}' >/dev/null
    for n in a b; do
        setsid nsenter --net="/run/netns/$prefix-$n" "$bin/weftd" --etcd-endpoints=http://198.18.0.250:2379 --iface=eth0 --ip-masq \
            --datapath="$mode" --run-dir="$state/$n/run" --bpf-dir="$bpf/$n" --subnet-file="$state/$n/subnet.env" >"$state/$n.log" 2>&1 &
        disown
    done
    for n in a b; do
        wait_for test -s "$state/$n/subnet.env"
        wait_for sh -c "nsenter --net=/run/netns/$prefix-$n $bin/weftctl leases --json --bpf-dir=$bpf/$n --run-dir=$state/$n/run | jq -e 'length == 1'"
        in_ns "$n" env CNI_COMMAND=ADD CNI_CONTAINERID=pod CNI_NETNS="/run/netns/$prefix-pod-$n" CNI_IFNAME=eth0 CNI_PATH="$bin" \
            "$bin/weft" >"$state/$n/result.json" <<CONF
{"cniVersion": "1.0.0", "name": "cbr0", "type": "weft", "subnetFile": "$state/$n/subnet.env", "runDir": "$state/$n/run",
 "bpfDir": "$bpf/$n", "dataDir": "$state/$n/cni"}
CONF
    done
}

# Sets client, server (namespaces) and target (address).
set_up() {
    clean_up
    make_nodes
    client=pod-a server=pod-b target=10.244.2.2
    case $1 in
    host) client=a server=b target=192.0.2.2 ;;
    flannel) flannel_node a 1 && flannel_node b 2 ;;
    weft-*)
        weft_nodes "${1#weft-}"
        target=$(jq -r '.ips[0].address | split("/")[0]' "$state/b/result.json")
        ;;
    esac
    set_wire "$2"
}

# --- the figures ------------------------------------------------------------------------------------------------------------

# CPU time of the machine so far, in ticks: all, idle.
cpu_ticks() { awk '/^cpu / { for (i = 2; i <= 9; i++) all += $i; print all, $5 + $6 }' /proc/stat; }

serve() {
    in_ns "$server" taskset -c 1 iperf3 --server --daemon >/dev/null
    setsid nsenter --net="/run/netns/$prefix-$server" taskset -c 1 sockperf server --tcp --ip 0.0.0.0 --port 11111 >/dev/null 2>&1 &
    disown
    wait_for in_ns "$client" bash -c "exec 3<>/dev/tcp/$target/5201"
    wait_for in_ns "$client" bash -c "exec 3<>/dev/tcp/$target/11111"
}

tcp_stream() {
    in_ns "$client" taskset -c 0 iperf3 --client "$target" --time "$seconds" --omit 0.3 --json |
        jq '.end.sum_received.bits_per_second / 1e9'
}

udp_small() {
    in_ns "$client" taskset -c 0 iperf3 --client "$target" --udp --length 64 --bitrate 0 --time "$seconds" --json |
        jq '.end.sum | (.packets - .lost_packets) / .seconds / 1000'
}

tcp_latency() {
    in_ns "$client" taskset -c 1 sockperf ping-pong --tcp --ip "$target" --port 11111 --time "$seconds" --mps max |
        awk '/percentile 50.000/ { print $NF }'
}

measure() {
    local wire=$1 contender=$2 round=$3 client server target stream packets latency
    set_up "$contender" "$wire"
    serve
    stream=$(tcp_stream) packets=$(udp_small) latency=$(tcp_latency)
    jq -nc --arg wire "$wire" --arg contender "$contender" --argjson round "$round" --argjson stream "$stream" \
        --argjson packets "$packets" --argjson latency "$latency" \
        '{wire: $wire, contender: $contender, round: $round, tcp_gbit: $stream, udp64_kpps: $packets, tcp_half_rtt_us: $latency}'
}

# Share of the machine that somebody uses while we are idle, in percent.
others() {
    local all0 idle0 all1 idle1
    read -r all0 idle0 < <(cpu_ticks)
    sleep 0.5
    read -r all1 idle1 < <(cpu_ticks)
    echo $((100 * ((all1 - all0) - (idle1 - idle0)) / (all1 - all0 + 1)))
}

table() {
    jq -rs 'def median: sort | .[(length - 1) / 2 | floor];
        group_by(.wire)[] | (map(select(.contender == "flannel"))) as $base
        | "\n\(.[0].wire) wire | TCP Gbit/s (min to max) | to flannel | UDP 64 B k/s (min to max) | to flannel | half RTT us (min to max) | to flannel",
          "---|---|---|---|---|---|---",
          (group_by(.contender) | sort_by(["host", "flannel", "weft-tc", "weft-xdp"] as $o | .[0].contender as $c | $o | index($c)) [] |
            def figure($f; $digits): (map(.[$f]) | median) as $m | ($base | map(.[$f]) | median) as $b
              | "\($m * $digits | round / $digits) (\(map(.[$f]) | min * $digits | round / $digits) to \(map(.[$f]) | max * $digits | round / $digits)) | \($m / $b * 100 | round / 100)";
            "\(.[0].contender) | \(figure("tcp_gbit"; 10)) | \(figure("udp64_kpps"; 1)) | \(figure("tcp_half_rtt_us"; 10))")' "$1"
}

main() {
    ((EUID == 0)) || die "needs root"
    local tool
    for tool in iperf3 sockperf jq ethtool etcd; do command -v "$tool" >/dev/null || die "$tool is missing: scripts/install-deps.sh bench"; done
    [[ -x $bin/weftd ]] || die "build first: cmake -S . -B build && cmake --build build"
    out=${out:-bench/results/$(date +%F)-$(git rev-parse --short HEAD).json}
    mkdir -p "$(dirname "$out")"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    local rows=$out.rows round wire contender discarded=0 busy
    : >"$rows"
    for ((round = 1; round <= rounds; round++)); do
        for wire in $wires; do
            # What somebody does for a moment is waited for; the half second also lets the last round's clean-up end.
            for _ in 1 2 3 4 5 6; do
                busy=$(others)
                ((busy > 5)) || break
            done
            if ((busy > 5)); then
                discarded=$((discarded + 1))
                echo "round $round, $wire: discarded, the machine is $busy% busy" >&2
                continue
            fi
            for contender in "${contenders[@]}"; do measure "$wire" "$contender" "$round" >>"$rows"; done
            echo "round $round, $wire: done" >&2
        done
    done
    jq -s --arg kernel "$(uname -r)" --arg commit "$(git rev-parse --short HEAD)" --argjson cpus "$(nproc)" --argjson discarded "$discarded" \
        '{what: "pod to pod across nodes", kernel: $kernel, commit: $commit, cpus: $cpus, discarded_rounds: $discarded, rounds: .}' "$rows" >"$out"
    table "$rows" | tee "${out%.json}.md"
    rm -f -- "$rows"
    echo "$discarded rounds discarded; every figure is in $out" >&2
}

main "$@"
