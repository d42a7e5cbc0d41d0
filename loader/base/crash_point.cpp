// SPDX-License-Identifier: Apache-2.0
#include "base/crash_point.hpp"

namespace weft {

void crash_point(std::string_view) {}

} // namespace weft
