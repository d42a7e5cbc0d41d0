// SPDX-License-Identifier: Apache-2.0
#include "container_host.hpp"

#include <fmt/format.h>

#include "needs.hpp"

namespace weft::test {
namespace {

/// Arguments: the directory, the node's BPF directory, its subnet.env, the plugin, the conflist. bash, because it reaps
/// whatever is left to the first process of a pid namespace.
constexpr const char *kMounts = R"(set -e
mkdir -p "$1"/{run/netns,run/flannel,varlib,opt/cni/bin,cni/net.d,bpf}
ln -s "$3" "$1/run/flannel/subnet.env"
ln -s "$4" /usr/lib/cni/* "$1/opt/cni/bin/"
cp "$5" "$1/cni/net.d/"
mount --bind "$2" "$1/bpf"
mount -t tmpfs weft-test /sys/fs/bpf
mkdir /sys/fs/bpf/weft
mount --move "$1/bpf" /sys/fs/bpf/weft
mount --bind "$1/run" /run
mount --bind "$1/varlib" /var/lib
mount --bind "$1/opt" /opt
mount --bind "$1/cni" /etc/cni
echo ready
while :; do sleep 3600 & wait $!; done
)";

/// Mounts of containers are below these; the runtime's own stay as long as it runs.
constexpr const char *kTraces = R"(
ip -o link | sed -n 's/^[0-9]*: \(weft[0-9a-f]\{11\}\|veth[^@]*\|bwp[^@:]*\).*/link \1/p'
find /var/lib/cni/networks -type f -name '[0-9]*' -printf 'address %f\n' 2>/dev/null
find /var/lib/cni/results /var/lib/cni/cache -type f -printf 'result %f\n' 2>/dev/null
for table in nat filter; do iptables -w -t $table -S | sed -n 's/.*\(CNI-DN-[0-9a-f]*\).*/rule \1/p'; done
ls /run/netns | sed 's/^/netns /'
awk '$2 ~ /rootfs|merged|\/netns\/(netns|cni)-/ { print "mount " $2 }' /proc/mounts
ps -e -o comm= | grep -E 'httpd|shim|conmon|runc' | sed 's/^/process /'
true
)";

} // namespace

Result<ContainerHost> ContainerHost::create(const WeftNode &node) {
    auto dir = TempDir::create(node.name() + "-host");
    if (!dir) return fail_as_is(std::move(dir));
    ContainerHost host(node, std::move(*dir));
    auto holder =
        node.netns().spawn({"unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation",
                            "private", "bash", "-c", kMounts, "host", host.dir().string(), node.bpf_dir().string(),
                            node.subnet_file().string(), binary("weft"), WEFT_CONFLIST});
    if (!holder) return fail_as_is(std::move(holder));
    host.holder_ = std::move(*holder);
    if (!host.holder_->wait_for_output("ready")) return fail("a container host's mounts: " + host.holder_->describe());
    return host;
}

std::vector<std::string> ContainerHost::inside(std::vector<std::string> argv) const {
    const auto pid = holder_->pid();
    std::vector<std::string> all{"nsenter", fmt::format("--mount=/proc/{}/ns/mnt", pid),
                                 fmt::format("--pid=/proc/{}/ns/pid_for_children", pid)};
    all.insert(all.end(), argv.begin(), argv.end());
    return all;
}

Result<std::string> ContainerHost::run(std::vector<std::string> argv, std::chrono::milliseconds timeout) const {
    return node_->netns().run(inside(std::move(argv)), {}, timeout);
}

Result<Process> ContainerHost::spawn(std::vector<std::string> argv) const {
    return node_->netns().spawn(inside(std::move(argv)));
}

Result<std::filesystem::path> ContainerHost::make_rootfs(std::string_view name, std::string_view page) const {
    const auto root = dir() / name;
    constexpr const char *kMake = R"(set -e
mkdir -p "$1"/{bin,proc,sys,dev,etc,tmp,run,www}
cp /bin/busybox "$1/bin/"
for applet in sh httpd ping nc tail; do ln -s busybox "$1/bin/$applet"; done
echo "$2" >"$1/www/index.html"
printf '#!/bin/sh\nprintf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 5 $1 $2 | tail -n 1\n' >"$1/bin/fetch"
chmod +x "$1/bin/fetch"
)";
    auto made = run_ok({"bash", "-c", kMake, "rootfs", root.string(), std::string(page)});
    if (!made) return fail_as_is(std::move(made));
    return root;
}

Result<std::string> ContainerHost::traces() const {
    auto found = run({"bash", "-c", kTraces});
    if (!found) return found;
    const auto endpoints = node_->weftctl("endpoints");
    if (!endpoints) return std::unexpected(endpoints.error());
    for (const auto &one : *endpoints) *found += fmt::format("endpoint {}\n", one.value("address", "?"));
    return found;
}

} // namespace weft::test
