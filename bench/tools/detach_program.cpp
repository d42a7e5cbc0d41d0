// SPDX-License-Identifier: Apache-2.0
// Takes weft's program off a tc hook, as somebody else might: Debian's tools do not know TCX.
//
//   detach_program INTERFACE ingress|egress
#include <fmt/format.h>
#include <net/if.h>

#include <string_view>

#include "datapath/tc_attach.hpp"

int main(int argc, char **argv) {
    using weft::datapath::TcHook;
    const std::string_view hook = argc == 3 ? argv[2] : "";
    if (hook != "ingress" && hook != "egress") {
        fmt::print(stderr, "usage: detach_program INTERFACE ingress|egress\n");
        return 2;
    }
    const auto detached = weft::datapath::detach_tc(static_cast<int>(if_nametoindex(argv[1])),
                                                    hook == "ingress" ? TcHook::ingress : TcHook::egress);
    if (detached && *detached) return 0;
    fmt::print(stderr, "detach_program: {}\n", detached ? "there is none" : detached.error().sentence());
    return 1;
}
