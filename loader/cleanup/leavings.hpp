// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace weft {

/// Where a node's weft kept what is not in the kernel's network.
struct NodePaths {
    std::filesystem::path run_dir = "/run/weft";
    std::filesystem::path bpf_dir = "/sys/fs/bpf/weft";
    std::filesystem::path subnet_file = "/run/flannel/subnet.env";
};

/// One thing that weft left on this node.
struct Leaving {
    std::string what;               ///< "program weft_from_wire on eth0 (tc ingress)"
    std::function<Status()> remove; ///< having vanished meanwhile is success
    bool is_pod = false;            ///< a running pod's interface: its pod is cut off with it
};

/// What becomes of pods that run: they are cut off with weft, or go on through the host's stack, for a flannel that is about to
/// start here.
enum class PodsFate { go, stay };

/// What is there of weft, in the order in which it is to be removed: programs, firewall rules, routes, pods' interfaces,
/// weft.1, pins, files. Looks at the calling thread's network namespace and changes nothing.
///
/// Pods that stay keep interface and route, and subnet.env stays with them.
///
/// Not among it, because it cannot be told from others' or is still of use to them: net.ipv4.ip_forward, the lease in etcd (it
/// ends by itself), pods' address files (their runtime's DEL frees them), and subnet.env while a flannel device is there, whose
/// daemon has it by then.
/// Errors: when the kernel cannot be asked; the list would not be whole.
[[nodiscard]] Result<std::vector<Leaving>> find_leavings(const NodePaths &paths, PodsFate fate = PodsFate::go);

} // namespace weft
