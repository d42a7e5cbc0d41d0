// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"

namespace weft {

/// The rules of a flannel that ran in this network namespace, a line each, in whichever rule system it had them: the chains
/// FLANNEL-POSTRTG and FLANNEL-FWD with the jumps to them, and the tables flannel-ipv4 and flannel-ipv6.
/// Empty where there are none, or none can be read.
[[nodiscard]] std::vector<std::string> list_flannel_rules();

/// Whether one of these lines makes flannel masquerade.
[[nodiscard]] bool flannel_masquerades(const std::vector<std::string> &rules);

/// Removes them, and nobody else's. What cannot be removed holds up nothing else; the first such thing is the error.
[[nodiscard]] Status remove_flannel_rules();

} // namespace weft
