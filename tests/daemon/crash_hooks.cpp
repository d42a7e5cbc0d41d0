// SPDX-License-Identifier: Apache-2.0
// weftd-testhooks' crash points: WEFT_TEST_CRASH_AT=<name> dies there.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "base/crash_point.hpp"

namespace weft {

void crash_point(std::string_view name) {
    const char *wanted = std::getenv("WEFT_TEST_CRASH_AT");
    if (wanted && wanted == name) ::kill(::getpid(), SIGKILL);
}

} // namespace weft
