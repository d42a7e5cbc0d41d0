// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/error.hpp"
#include "ctl/context.hpp"

namespace weft::ctl {

struct AuditReport {
    std::string text;   ///< what to print
    bool clean = false; ///< the kernel has what it should have; after a repair: now
};

/// `weftctl audit`: has weftd hold the kernel against what should be there. @param repair also put it right, and look again
/// Errors: when weftd does not run, or is not ready.
[[nodiscard]] Result<AuditReport> run_audit(const Context &context, bool repair);

} // namespace weft::ctl
