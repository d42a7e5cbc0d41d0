// SPDX-License-Identifier: Apache-2.0
// The plugin's environment, one NAME=VALUE a line.
#include <algorithm>
#include <map>
#include <string>

#include "fuzz.hpp"
#include "invocation.hpp"

void weft::fuzz::one(std::string_view input) {
    using namespace weft::cni;
    std::map<std::string, std::string, std::less<>> variables;
    while (!input.empty()) {
        const auto line = input.substr(0, input.find('\n'));
        input.remove_prefix(std::min(line.size() + 1, input.size()));
        if (const auto equals = line.find('='); equals != line.npos)
            variables.insert_or_assign(std::string(line.substr(0, equals)),
                                       std::string(line.substr(equals + 1).substr(0, line.find('\0'))));
    }
    const auto call = parse_invocation([&](const char *name) -> const char * {
        const auto found = variables.find(std::string_view(name));
        return found == variables.end() ? nullptr : found->second.c_str();
    });
    if (!call)
        return expect(call.error().code == kInvalidEnvironment && !call.error().msg.empty(), "a refusal says why");
    const bool of_container =
        call->command == Command::add || call->command == Command::del || call->command == Command::check;
    if (of_container) {
        expect(is_valid_name(call->container_id), "a container's id is safe in a path", call->container_id);
        expect(is_valid_ifname(call->ifname), "an interface's name is one for the kernel", call->ifname);
        expect(std::ranges::all_of(call->container_id + call->ifname,
                                   [](unsigned char c) { return c > ' ' && c != 0x7f; }),
               "what names a pod can be printed", call->ifname);
    }
    if (const auto args = parse_args(call->args); !args) expect(!args.error().msg.empty(), "a refusal says why");
}
