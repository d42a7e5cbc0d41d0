// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "cni/step.hpp"

namespace weft::cni {

/// WEFT_TEST_FAIL_AT=<step> fails there; <step>:kill dies there as if by kill -9.
Status reached(std::string_view step) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing of ours changes the environment.
    const char *wanted = std::getenv("WEFT_TEST_FAIL_AT");
    if (!wanted) return {};
    if (std::string_view(wanted) == std::string(step) + ":kill") ::kill(::getpid(), SIGKILL);
    if (wanted == step) return fail("made to fail at " + std::string(step), EIO);
    return {};
}

} // namespace weft::cni
