// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/error.hpp"

namespace weft::cni {

/// The moments of an ADD or a DEL at which something half done exists. The shipped plugin links step_none.cpp, where this is
/// nothing; `weft-testhooks` links step_hooks.cpp, which can fail or kill the process at a named one.
[[nodiscard]] Status reached(std::string_view step);

} // namespace weft::cni
