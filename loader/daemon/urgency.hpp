// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>

namespace weft {

/// While it lives the calling thread runs before every ordinary one of the machine: for a few system calls between which
/// packets are lost, and which wait for the kernel several times (8 to 30 ms on two busy CPUs, and 120 without). Nothing,
/// where that is not permitted.
class Urgency {
public:
    Urgency() {
        const sched_param lowest{.sched_priority = 1};
        raised_ = ::sched_getscheduler(0) == SCHED_OTHER && ::sched_setscheduler(0, SCHED_FIFO, &lowest) == 0;
    }
    ~Urgency() {
        const sched_param none{};
        if (raised_) ::sched_setscheduler(0, SCHED_OTHER, &none);
    }
    Urgency(const Urgency &) = delete;
    Urgency &operator=(const Urgency &) = delete;

private:
    bool raised_ = false;
};

} // namespace weft
