// SPDX-License-Identifier: Apache-2.0
#include "cni/invocation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>

#include <algorithm>
#include <array>

namespace weft::cni {
namespace {

constexpr std::array<std::string_view, 6> kCommandNames = {"ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"};

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const auto end = std::min(text.find(separator), text.size());
        if (end > 0) parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

/// The words that Go's strconv.ParseBool takes, since runtimes write IgnoreUnknown for Go plugins.
std::optional<bool> parse_bool(std::string_view text) {
    for (const char *word : {"1", "t", "T", "TRUE", "true", "True"})
        if (text == word) return true;
    for (const char *word : {"0", "f", "F", "FALSE", "false", "False"})
        if (text == word) return false;
    return std::nullopt;
}

std::vector<std::string_view> missing_variables(const Invocation &call) {
    std::vector<std::string_view> missing;
    const auto c = call.command;
    const bool about_a_container = c == Command::add || c == Command::del || c == Command::check;
    if (!about_a_container) return missing;
    if (call.container_id.empty()) missing.emplace_back("CNI_CONTAINERID");
    if (call.netns.empty() && c != Command::del) missing.emplace_back("CNI_NETNS");
    if (call.ifname.empty()) missing.emplace_back("CNI_IFNAME");
    return missing;
}

} // namespace

std::string_view to_string(Command command) { return kCommandNames[static_cast<std::size_t>(command)]; }

bool is_valid_name(std::string_view name) {
    return !name.empty() && is_alnum(name.front()) &&
           std::ranges::all_of(name, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_valid_ifname(std::string_view name) {
    if (name.empty() || name.size() >= IFNAMSIZ) return false;
    // The kernel keeps the settings of all links below the last two, and puts a number in for "%d".
    for (const auto *taken : {".", "..", "all", "default"})
        if (name == taken) return false;
    return std::ranges::none_of(
        name, [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '/' || c == ':' || c == '%'; });
}

Outcome<Invocation> parse_invocation(const Environment &env) {
    const auto read = [&](const char *name) {
        const char *value = env(name);
        return std::string(value ? value : "");
    };
    Invocation call;
    const std::string command = read("CNI_COMMAND");
    const auto *known = std::ranges::find(kCommandNames, command);
    if (known == kCommandNames.end())
        return refuse(kInvalidEnvironment, fmt::format("unknown CNI_COMMAND: {}", command),
                      fmt::format("one of {} is expected", fmt::join(kCommandNames, ", ")));
    call.command = static_cast<Command>(known - kCommandNames.begin());
    call.container_id = read("CNI_CONTAINERID");
    call.netns = read("CNI_NETNS");
    call.ifname = read("CNI_IFNAME");
    call.args = read("CNI_ARGS");
    call.plugin_path = split(read("CNI_PATH"), ':');

    if (const auto missing = missing_variables(call); !missing.empty())
        return refuse(kInvalidEnvironment, fmt::format("required env variables [{}] missing", fmt::join(missing, ",")));
    if (!call.container_id.empty() && !is_valid_name(call.container_id))
        return refuse(kInvalidEnvironment, fmt::format("invalid CNI_CONTAINERID: \"{}\"", call.container_id),
                      "letters, digits, '_', '.' and '-', beginning with a letter or digit");
    if (!call.ifname.empty() && !is_valid_ifname(call.ifname))
        return refuse(kInvalidEnvironment, fmt::format("invalid CNI_IFNAME: \"{}\"", call.ifname),
                      "1 to 15 characters, no '/', ':', '%' or white space, and not '.', '..', 'all' or 'default'");
    return call;
}

Outcome<Args> parse_args(std::string_view text) {
    Args args;
    bool ignore_unknown = false;
    std::vector<std::string> unknown;
    for (const std::string &pair : split(text, ';')) {
        const auto equals = pair.find('=');
        if (equals == std::string::npos || equals == 0)
            return refuse(kInvalidEnvironment, fmt::format("CNI_ARGS: invalid pair \"{}\"", pair));
        const std::string key = pair.substr(0, equals), value = pair.substr(equals + 1);
        if (key == "IgnoreUnknown") {
            const auto flag = parse_bool(value);
            if (!flag)
                return refuse(kInvalidEnvironment, fmt::format("CNI_ARGS: IgnoreUnknown is no boolean: \"{}\"", value));
            ignore_unknown = *flag;
        } else if (key == "IP") {
            // "10.1.2.3/24" is accepted as host-local does: the prefix length is the subnet's anyway.
            auto ip = parse_ip(value.substr(0, value.find('/')));
            if (!ip) return refuse(kInvalidEnvironment, "CNI_ARGS: IP: " + ip.error().sentence());
            args.ip = *ip;
        } else if (key == "MAC") {
            auto mac = parse_mac(value);
            if (!mac) return refuse(kInvalidEnvironment, "CNI_ARGS: MAC: " + mac.error().sentence());
            args.mac = *mac;
        } else {
            unknown.push_back(key);
        }
    }
    if (!unknown.empty() && !ignore_unknown)
        return refuse(kInvalidEnvironment, fmt::format("CNI_ARGS: unknown args [{}]", fmt::join(unknown, " ")),
                      "IgnoreUnknown=1 allows them");
    return args;
}

} // namespace weft::cni
