#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian 12 packages that weft's build, demo and tests need. Quick and silent when they are all there.
#
#   scripts/install-deps.sh [build] [demo] [test] [bench]   without an argument: build and test
#   scripts/install-deps.sh --list [...]              prints the packages instead, one a line
set -euo pipefail

build=(
    # user space
    g++ cmake ninja-build make pkg-config ccache
    libasio-dev libbpf-dev libcap-ng-dev libcli11-dev libelf-dev libfmt-dev libgrpc++-dev libnftables-dev libnl-3-dev libnl-route-3-dev
    libprotobuf-dev libre2-dev libspdlog-dev libssl-dev libsystemd-dev libxdp-dev nlohmann-json3-dev protobuf-compiler protobuf-compiler-grpc
    # BPF
    clang-19 llvm-19 bpftool linux-libc-dev
    # tests and benchmarks are part of the build
    libbenchmark-dev libgmock-dev libgtest-dev libseccomp-dev libtins-dev
)
demo=(bsdextrautils etcd-client etcd-server iperf3 iproute2 iputils-ping jq procps socat tcpdump util-linux)
bench=("${demo[@]}" containernetworking-plugins ethtool iptables nftables python3)
test=(
    "${demo[@]}" busybox-static clang-format-19 clang-tidy-19 conntrack containerd containernetworking-plugins cppcheck curl
    ethtool git iptables iputils-tracepath kmod libcap2-bin libclang-rt-19-dev nftables openssl podman python3 qemu-system-x86 runc
    shellcheck strace traceroute
)
# Packages that bring services, which must not start because somebody tries weft.
declare -A services=(
    [etcd-server]="etcd.service"
    [containerd]="containerd.service"
    [podman]="podman.socket podman.service podman-auto-update.timer podman-auto-update.service podman-restart.service"
)

usage() {
    sed -n '3,7s/^# \{0,1\}//p' "$(readlink -f "$0")"
}

main() {
    local list=0 wanted=()
    while (($#)); do
        case $1 in
        --list) list=1 ;;
        build) wanted+=("${build[@]}") ;;
        demo) wanted+=("${demo[@]}") ;;
        test) wanted+=("${test[@]}") ;;
        bench) wanted+=("${bench[@]}") ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            echo "install-deps.sh: unknown argument \"$1\" (--help tells more)" >&2
            exit 2
            ;;
        esac
        shift
    done
    ((${#wanted[@]})) || wanted=("${build[@]}" "${test[@]}")
    readarray -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)

    if ((list)); then
        printf '%s\n' "${wanted[@]}"
        exit 0
    fi
    if ! command -v dpkg-query >/dev/null; then
        echo "install-deps.sh: not a Debian system; install what these packages of Debian 12 hold: ${wanted[*]}" >&2
        exit 1
    fi
    readarray -t missing < <(missing_of "${wanted[@]}")
    ((${#missing[@]})) || exit 0
    install_packages "${missing[@]}"
}

# The given packages that are not installed, one a line. A removed package with its configuration left is not installed.
# A container runtime from elsewhere (Docker's containerd.io) serves as well, and Debian's would remove it.
missing_of() {
    comm -23 <(printf '%s\n' "$@") \
        <({
            for command in containerd podman runc; do
                if command -v "$command" >/dev/null; then echo "$command"; fi
            done
            dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p'
        } | sort -u)
}

install_packages() {
    local as_root=()
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            echo "install-deps.sh: needs root to install: $*" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "installing: $*"
    local stays_off=() units=() package
    if [[ -d /run/systemd/system ]]; then
        for package in "$@"; do
            read -ra units <<<"${services[$package]-}"
            stays_off+=("${units[@]}")
        done
    fi
    if ((${#stays_off[@]})); then "${as_root[@]}" systemctl mask --runtime --quiet "${stays_off[@]}"; fi

    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    local log status=0
    log=$(mktemp)
    { "${apt[@]}" update && "${apt[@]}" install -y --no-remove --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null || status=$?

    if ((${#stays_off[@]})); then
        "${as_root[@]}" systemctl unmask --runtime --quiet "${stays_off[@]}"
        "${as_root[@]}" systemctl disable --quiet "${stays_off[@]}" 2>/dev/null || true
    fi
    if ((status)); then
        tail -n 30 "$log" >&2
        echo "install-deps.sh: apt-get failed" >&2
    fi
    rm -f "$log"
    exit "$status"
}

main "$@"
