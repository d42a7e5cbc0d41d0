// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

#include "cni/plugin.hpp"

namespace {

void say(int fd, std::string_view text) { (void)!::write(fd, text.data(), text.size()); }

/// What is left to do once there is an answer is to take things down, which may want memory too.
void end_if_answered() {
    if (const auto status = weft::cni::answered()) ::_exit(*status);
}

/// A library ran out of memory where it cannot say so (a JSON value's destructor needs some): what there is stays for DEL.
[[noreturn]] void end_at_once() {
    end_if_answered();
    say(STDOUT_FILENO, R"({"cniVersion":"1.1.0","code":999,"msg":"out of memory, and nothing undone: DEL is needed"})");
    ::_exit(1);
}

} // namespace

/// Libraries may throw (out of memory): that is answered as an error too, not as a core dump.
int main() {
    std::set_terminate(end_at_once);
    // A runtime that hangs up is told by write()'s error, after which ADD undoes what it did.
    ::signal(SIGPIPE, SIG_IGN);
    try {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): read before any thread starts, written never.
        return weft::cni::run_command([](const char *name) -> const char * { return std::getenv(name); });
    } catch (const std::bad_alloc &) {
        end_if_answered();
        say(STDOUT_FILENO, R"({"cniVersion":"1.1.0","code":999,"msg":"out of memory"})");
    } catch (const std::exception &thrown) {
        end_if_answered();
        say(STDOUT_FILENO, R"({"cniVersion":"1.1.0","code":999,"msg":"internal error, see stderr"})");
        for (const std::string_view text : {"weft: ", thrown.what(), "\n"}) say(STDERR_FILENO, text);
    }
    return 1;
}
