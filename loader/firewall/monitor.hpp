// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.hpp"

namespace weft {

/// One of nftables' notifications, as far as it is looked at. iptables-nft's changes come as these too.
struct RuleChange {
    std::uint8_t message = 0; ///< NFT_MSG_*
    std::uint8_t family = 0;  ///< NFPROTO_*
    std::string table, chain; ///< chain: empty where the message is about none
};

/// Whether a change can mean that weft's rules are no longer as they should be, or no longer where they should be. What
/// kube-proxy does to its own chains all day is none.
[[nodiscard]] bool concerns_weft(const RuleChange &change);

/// Tells of changes to the nftables rules of the network namespace it was started in that concern weft's.
///
/// Contract: a change is a reason to look, not the truth. `changed` is called once for each burst, also when messages were
/// lost. The kernel's older iptables tells nobody of its changes.
/// Threads: the callback runs on the io_context's thread. The destructor ends it; `io` outlives the monitor.
class RuleMonitor {
public:
    [[nodiscard]] static Result<RuleMonitor> start(asio::io_context &io, std::function<void()> changed);

    RuleMonitor(RuleMonitor &&) noexcept;
    ~RuleMonitor();

private:
    class Impl;
    explicit RuleMonitor(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

} // namespace weft
