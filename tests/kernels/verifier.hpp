// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/error.hpp"
#include "datapath/datapath.hpp"
#include "datapath/features.hpp"

namespace weft::kernels {

/// What the kernel's verifier says of one program that it has taken.
struct Cost {
    std::uint64_t instructions = 0; ///< that it walked: the kernel's limit is a million
    std::uint64_t peak_states = 0;  ///< that it held at once: memory, and time
    std::uint64_t stack = 0;        ///< bytes; the limit is 512

    bool operator==(const Cost &) const = default;
};

/// Loads every program as weftd would with this configuration on a kernel with these features, and lets go of them again.
/// @return by program; an error names what the kernel refused and ends with its words.
[[nodiscard]] Result<std::map<std::string, Cost>> load_programs(const DatapathConfig &config,
                                                                const datapath::Features &features);

} // namespace weft::kernels
