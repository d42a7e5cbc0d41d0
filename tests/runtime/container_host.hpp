// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "dirs.hpp"
#include "process.hpp"
#include "weft_node.hpp"

namespace weft::test {

/// A node as a container runtime sees it: in the node's network namespace, with a mount and a pid namespace in which everything
/// is in its usual place and the node's own: /run/flannel/subnet.env, /sys/fs/bpf/weft, /etc/cni/net.d, /opt/cni/bin, /var/lib.
/// The conflist is the one in deploy/.
///
/// Contract: nothing of the machine's is changed but cgroups, which are everybody's; every process started inside, and every
/// mount, ends with the object.
class ContainerHost {
public:
    [[nodiscard]] static Result<ContainerHost> create(const WeftNode &node);

    /// Runs a command inside to its end; any exit code but 0 is an error. @return stdout.
    Result<std::string> run(std::vector<std::string> argv, std::chrono::milliseconds timeout = 60s) const;
    Result<std::string> run(std::string_view line) const { return run(words(line)); }
    [[nodiscard]] Result<Process> spawn(std::vector<std::string> argv) const;

    /// A directory that has the same path inside and outside.
    [[nodiscard]] const std::filesystem::path &dir() const { return dir_.path(); }
    /// A container's root filesystem: busybox, a web server's page that says `page`, and `/bin/fetch ADDRESS PORT`
    /// that prints such a page.
    [[nodiscard]] Result<std::filesystem::path> make_rootfs(std::string_view name, std::string_view page) const;

    /// What containers could have left, one a line: veths, endpoints, addresses, port mappings, namespaces, mounts, processes.
    [[nodiscard]] Result<std::string> traces() const;

private:
    ContainerHost(const WeftNode &node, TempDir dir) : node_(&node), dir_(std::move(dir)) {}
    [[nodiscard]] std::vector<std::string> inside(std::vector<std::string> argv) const;

    const WeftNode *node_;
    TempDir dir_;
    std::optional<Process> holder_; ///< after the directory: it ends before that goes
};

} // namespace weft::test
