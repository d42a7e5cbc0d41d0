// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "ctl/links.hpp"

namespace weft::ctl {

/// A program on an interface. Asked from the kernel, because TCX programs show in neither `tc` nor an older `bpftool net`.
struct Attachment {
    unsigned ifindex = 0;
    std::string ifname;
    std::string hook;    ///< "tc ingress", "tc egress" or "xdp"
    std::string program; ///< its name in the kernel: "weft_from_pod"; another's name on the xdp hook: a dispatcher
    std::uint32_t id = 0;
};

/// weft's programs on these interfaces of this network namespace, and whatever is on the xdp hook of one that has them, by
/// ifindex, then in the order xdp, ingress, egress. An interface that vanishes meanwhile is left out.
[[nodiscard]] Result<std::vector<Attachment>> read_attachments(const Links &links);

} // namespace weft::ctl
