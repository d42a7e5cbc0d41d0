// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <string>

#include "cni/plugin.hpp"

/// Libraries may throw (out of memory): that is answered as an error too, not as a core dump.
int main() {
    // A runtime that hangs up is told by write()'s error, after which ADD undoes what it did.
    ::signal(SIGPIPE, SIG_IGN);
    try {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): read before any thread starts, written never.
        return weft::cni::run_command([](const char *name) -> const char * { return std::getenv(name); });
    } catch (const std::exception &thrown) {
        constexpr std::string_view kText = R"({"cniVersion":"1.1.0","code":999,"msg":"internal error, see stderr"})";
        const std::string what = std::string("weft: ") + thrown.what() + "\n";
        (void)!::write(STDOUT_FILENO, kText.data(), kText.size());
        (void)!::write(STDERR_FILENO, what.data(), what.size());
        return 1;
    }
}
