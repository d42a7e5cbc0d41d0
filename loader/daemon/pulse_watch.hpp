// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <optional>

#include "daemon/kernel.hpp"

namespace weft {

/// Finds in time what the kernel sends no notification of: entries of maps, pins, programs on TCX and XDP hooks, settings.
///
/// Contract: a pulse is read every 700 ms, so that what somebody did is looked at within a second; less often where that
/// would take more than a fiftieth of a CPU (with 100,000 leases every two seconds). weftd's own writes to
/// maps are not in it; what else it or the CNI plugin does costs one look that finds everything right. Suspicions, of which
/// there may be hundreds while pods come and go, are gathered and told with the next pulse.
/// Threads: the io_context's. `io` and `kernel` outlive the object.
class PulseWatch {
public:
    struct Change {
        bool maps = false, pods = false, attachments = false, settings = false;
        bool operator==(const Change &) const = default;
    };
    using Settings = std::map<std::string, std::optional<std::string>>;

    /// @param settings those that are kept, asked for at each pulse
    /// @param on_pulse called at each pulse, with what may have changed since the last one
    PulseWatch(asio::io_context &io, Kernel &kernel, std::function<const Settings &()> settings,
               std::function<void(const Change &)> on_pulse);

    void start();
    void suspect_pods() { suspected_.pods = true; }
    void suspect_attachments() { suspected_.attachments = true; }

private:
    void wait(std::chrono::nanoseconds cost);
    void look();

    Kernel &kernel_;
    asio::steady_timer timer_;
    const std::function<const Settings &()> settings_;
    const std::function<void(const Change &)> on_pulse_;
    Change suspected_;
    std::optional<Pulse> last_;
};

} // namespace weft
