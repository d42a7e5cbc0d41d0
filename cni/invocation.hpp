// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "cni/failure.hpp"

namespace weft::cni {

enum class Command { add, del, check, status, gc, version };

[[nodiscard]] std::string_view to_string(Command command);

/// What the runtime asks for, out of the environment.
struct Invocation {
    Command command = Command::version;
    std::string container_id;
    std::string netns; ///< empty is allowed for DEL
    std::string ifname;
    std::string args;                     ///< CNI_ARGS as given; parse_args() reads it
    std::vector<std::string> plugin_path; ///< CNI_PATH, split
};

/// nullptr for an unset variable, as getenv().
using Environment = std::function<const char *(const char *)>;

/// Errors: kInvalidEnvironment, naming every variable that is missing or wrong.
/// Contract: container id and interface name are safe as parts of file names and link names: no '/', no "..".
[[nodiscard]] Outcome<Invocation> parse_invocation(const Environment &env);

/// What CNI_ARGS may ask of weft.
struct Args {
    std::optional<Ip> ip;
    std::optional<Mac> mac;
};

/// Reads "KEY=VALUE;KEY=VALUE". Unknown keys are refused unless IgnoreUnknown is true: K8S_POD_NAME and friends come with it.
[[nodiscard]] Outcome<Args> parse_args(std::string_view args);

/// The specification's grammar for container ids and network names: [A-Za-z0-9][A-Za-z0-9_.-]*
[[nodiscard]] bool is_valid_name(std::string_view name);

/// What the kernel and the specification allow, and shows in a log as what it is: 1 to 15 octets, not ".", "..", "all" or
/// "default", no '/', ':', '%', white space or control character.
[[nodiscard]] bool is_valid_ifname(std::string_view name);

} // namespace weft::cni
