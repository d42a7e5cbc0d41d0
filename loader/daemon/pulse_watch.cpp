// SPDX-License-Identifier: Apache-2.0
#include "daemon/pulse_watch.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace weft {
namespace {

constexpr std::chrono::milliseconds kInterval{700};
/// With 100,000 leases a look takes 36 ms: 5 % of a CPU for nothing at the interval above.
constexpr int kIntervalsPerCost = 50;

/// Not the time that passes: others' load is no reason to look less often.
std::chrono::nanoseconds cpu_time() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

} // namespace

PulseWatch::PulseWatch(asio::io_context &io, Kernel &kernel, std::function<const Settings &()> settings,
                       std::function<void(const Change &)> on_pulse)
    : kernel_(kernel), timer_(io), settings_(std::move(settings)), on_pulse_(std::move(on_pulse)) {}

void PulseWatch::start() { wait({}); }

void PulseWatch::wait(std::chrono::nanoseconds cost) {
    timer_.expires_after(std::max<std::chrono::nanoseconds>(kInterval, kIntervalsPerCost * cost));
    timer_.async_wait([this](asio::error_code err) {
        if (err) return;
        const auto begin = cpu_time();
        look();
        wait(cpu_time() - begin);
    });
}

void PulseWatch::look() {
    Change change = std::exchange(suspected_, {});
    if (auto pulse = kernel_.read_pulse(settings_())) { // without programs there is nothing to lose yet
        // The first has nothing to be compared with: whatever happened before it calls for a look.
        const auto &was = last_ ? last_->datapath : DatapathFingerprint{}, &is = pulse->datapath;
        change.maps = !last_ || is.maps != was.maps;
        change.pods |= !last_ || is.endpoints != was.endpoints;
        change.attachments |= !last_ || is.attachments != was.attachments;
        change.settings = !last_ || pulse->settings != last_->settings;
        last_ = std::move(*pulse);
    }
    on_pulse_(change);
}

} // namespace weft
