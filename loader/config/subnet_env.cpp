// SPDX-License-Identifier: Apache-2.0
#include "config/subnet_env.hpp"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "config/env_file.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr const char *kNetwork = "FLANNEL_NETWORK", *kSubnet = "FLANNEL_SUBNET", *kNetwork6 = "FLANNEL_IPV6_NETWORK",
                     *kSubnet6 = "FLANNEL_IPV6_SUBNET", *kMtu = "FLANNEL_MTU", *kIpMasq = "FLANNEL_IPMASQ";

/// The CIDRs of a comma list; entries that are none are skipped, as flannel's readers do.
template <class Net>
std::vector<Net> parse_list(const EnvVariables &variables, const char *name, Result<Net> (*parse)(std::string_view)) {
    std::vector<Net> nets;
    const auto it = variables.find(name);
    if (it == variables.end()) return nets;
    for (const auto part : split(it->second, ','))
        if (auto net = parse(trim(part))) nets.push_back(*net);
    return nets;
}

Status bad_value(const EnvVariables &variables, const char *name, std::string_view wanted) {
    return fail(fmt::format("{}: \"{}\" is not {}", name, variables.find(name)->second, wanted));
}

} // namespace

std::string format(const SubnetEnv &env) {
    std::string text =
        fmt::format("{}={}\n{}={}\n", kNetwork, env.network.to_string(), kSubnet, env.subnet.to_string());
    if (env.ipv6_network) text += fmt::format("{}={}\n", kNetwork6, env.ipv6_network->to_string());
    if (env.ipv6_subnet) text += fmt::format("{}={}\n", kSubnet6, env.ipv6_subnet->to_string());
    text += fmt::format("{}={}\n{}={}\n", kMtu, env.mtu, kIpMasq, env.ip_masq);
    return text;
}

Result<SubnetEnv> parse_subnet_env(std::string_view text) {
    const auto variables = parse_env(text);
    std::string missing;
    for (const char *name : {kNetwork, kSubnet, kMtu, kIpMasq})
        if (!variables.contains(name)) missing += (missing.empty() ? "" : ", ") + std::string(name);
    if (!missing.empty()) return fail("is missing " + missing, ENOENT);

    SubnetEnv env;
    const auto networks = parse_list<Net4>(variables, kNetwork, parse_net4);
    if (networks.empty()) return fail_as_is(bad_value(variables, kNetwork, "an IPv4 CIDR"));
    env.network = networks.front().canonical();
    const auto subnets = parse_list<Net4>(variables, kSubnet, parse_net4);
    if (subnets.size() != 1) return fail_as_is(bad_value(variables, kSubnet, "one IPv4 CIDR"));
    env.subnet = subnets.front();
    if (const auto networks6 = parse_list<Net6>(variables, kNetwork6, parse_net6); !networks6.empty())
        env.ipv6_network = networks6.front().canonical();
    if (const auto subnets6 = parse_list<Net6>(variables, kSubnet6, parse_net6); subnets6.size() == 1)
        env.ipv6_subnet = subnets6.front();

    const auto &mtu = variables.find(kMtu)->second;
    const auto [end, err] = std::from_chars(mtu.data(), mtu.data() + mtu.size(), env.mtu);
    if (err != std::errc{} || end != mtu.data() + mtu.size()) return fail_as_is(bad_value(variables, kMtu, "a number"));
    env.ip_masq = variables.find(kIpMasq)->second == "true";
    return env;
}

Result<SubnetEnv> read_subnet_env(const fs::path &path) {
    auto text = read_env_file(path);
    if (!text) return fail_as_is(std::move(text));
    auto env = parse_subnet_env(*text);
    if (!env) {
        // "FILE is missing A, B" reads as flannel's own plugin says it; everything else is "FILE: ...".
        const auto &error = env.error();
        const char *joint = error.code() == ENOENT ? " " : ": ";
        return fail(path.string() + joint + error.sentence(), error.code());
    }
    return env;
}

PreviousSubnet read_previous_subnet(const fs::path &path) {
    PreviousSubnet previous;
    const auto text = read_env_file(path);
    if (!text) return previous;
    const auto variables = parse_env(*text);
    if (const auto nets = parse_list<Net4>(variables, kSubnet, parse_net4); nets.size() == 1)
        previous.v4 = nets.front().canonical();
    if (const auto nets = parse_list<Net6>(variables, kSubnet6, parse_net6); nets.size() == 1)
        previous.v6 = nets.front().canonical();
    return previous;
}

Status write_subnet_env(const fs::path &path, const SubnetEnv &env) { return replace_file(path, format(env)); }

} // namespace weft
