// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace weft::fuzz {

/// One input, whatever bytes it has, through the parser under test. Each target defines it. That nothing crashes, hangs or is
/// read behind its end is the sanitizers' to see; what the parser promises of an input that it takes, this checks.
void one(std::string_view input);

/// Ends the program where a promise is not kept: that is a finding, like a crash.
inline void expect(bool kept, std::string_view promise, std::string_view found = {}) {
    if (kept) return;
    std::fprintf(stderr, "not so: %s: %s\n", std::string(promise).c_str(), std::string(found).c_str());
    std::abort();
}

} // namespace weft::fuzz
