// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "cni/context.hpp"
#include "cni/failure.hpp"

namespace weft::cni {

/// Hands the result's text to the runtime.
using Emit = std::function<Status(std::string_view)>;

/// Wires the interface into the pod. The result is emitted last; a failure at any step, that one included, undoes
/// whatever was done before.
[[nodiscard]] Done add(const Context &context, const Emit &emit);

/// Removes everything ADD can have made, from whatever of it is still there; repeatable. Goes on after an error.
[[nodiscard]] Done del(const Context &context);

/// Compares prevResult with what is really there.
[[nodiscard]] Done check(const Context &context);

/// Whether an ADD could be served now.
[[nodiscard]] Done status(const Context &context);

/// Removes what belongs to this network's attachments that are not in the list of valid ones. Goes on after an error.
[[nodiscard]] Done gc(const Context &context);

} // namespace weft::cni
