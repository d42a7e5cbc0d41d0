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
                     *kSubnet6 = "FLANNEL_IPV6_SUBNET", *kMtu = "FLANNEL_MTU", *kIpMasq = "FLANNEL_IPMASQ",
                     *kLost = "WEFT_SUBNET_LOST";

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

template <class Net4Or6> void append(std::vector<Net> &nets, const std::optional<Net4Or6> &net) {
    if (net) nets.emplace_back(*net);
}

Status bad_value(const EnvVariables &variables, const char *name, std::string_view wanted) {
    return fail(fmt::format("{}: \"{}\" is not {}", name, variables.find(name)->second, wanted));
}

/// One family's two variables.
template <class Net> struct FamilyVariables {
    const char *network, *subnet, *cidr;
    Result<Net> (*parse)(std::string_view);

    [[nodiscard]] bool any_in(const EnvVariables &variables) const {
        return variables.contains(network) || variables.contains(subnet);
    }
};
constexpr FamilyVariables<Net4> kFamily4{kNetwork, kSubnet, "IPv4 CIDR", parse_net4};
constexpr FamilyVariables<Net6> kFamily6{kNetwork6, kSubnet6, "IPv6 CIDR", parse_net6};

template <class Net>
Status take_family(const EnvVariables &variables, const FamilyVariables<Net> &family, std::optional<Net> &network,
                   std::optional<Net> &subnet) {
    if (!family.any_in(variables)) return {};
    const auto networks = parse_list<Net>(variables, family.network, family.parse);
    if (networks.empty()) return bad_value(variables, family.network, fmt::format("an {}", family.cidr));
    network = networks.front().canonical();
    const auto subnets = parse_list<Net>(variables, family.subnet, family.parse);
    if (subnets.size() != 1) return bad_value(variables, family.subnet, fmt::format("one {}", family.cidr));
    subnet = subnets.front();
    return {};
}

} // namespace

std::vector<Net> SubnetEnv::networks() const {
    std::vector<Net> nets;
    append(nets, network);
    append(nets, ipv6_network);
    return nets;
}

std::vector<Net> SubnetEnv::subnets() const {
    std::vector<Net> nets;
    append(nets, subnet);
    append(nets, ipv6_subnet);
    return nets;
}

std::string format(const SubnetEnv &env) {
    std::string text;
    const auto line = [&](const char *name, const auto &net) {
        if (net) text += fmt::format("{}={}\n", name, net->to_string());
    };
    line(kNetwork, env.network);
    line(kSubnet, env.subnet);
    line(kNetwork6, env.ipv6_network);
    line(kSubnet6, env.ipv6_subnet);
    text += fmt::format("{}={}\n{}={}\n", kMtu, env.mtu, kIpMasq, env.ip_masq);
    return env.lost.empty() ? text : text + fmt::format("{}={}\n", kLost, env.lost);
}

Result<SubnetEnv> parse_subnet_env(std::string_view text) {
    const auto variables = parse_env(text);
    std::vector<const char *> wanted;
    const bool v6 = kFamily6.any_in(variables);
    if (!v6 || kFamily4.any_in(variables)) wanted.insert(wanted.end(), {kNetwork, kSubnet});
    if (v6) wanted.insert(wanted.end(), {kNetwork6, kSubnet6});
    wanted.insert(wanted.end(), {kMtu, kIpMasq});
    std::string missing;
    for (const char *name : wanted)
        if (!variables.contains(name)) missing += (missing.empty() ? "" : ", ") + std::string(name);
    if (!missing.empty()) return fail("is missing " + missing, ENOENT);

    SubnetEnv env;
    if (auto taken = take_family(variables, kFamily4, env.network, env.subnet); !taken)
        return fail_as_is(std::move(taken));
    if (auto taken = take_family(variables, kFamily6, env.ipv6_network, env.ipv6_subnet); !taken)
        return fail_as_is(std::move(taken));

    const auto &mtu = variables.find(kMtu)->second;
    const auto [end, err] = std::from_chars(mtu.data(), mtu.data() + mtu.size(), env.mtu);
    if (err != std::errc{} || end != mtu.data() + mtu.size()) return fail_as_is(bad_value(variables, kMtu, "a number"));
    env.ip_masq = variables.find(kIpMasq)->second == "true";
    if (const auto lost = variables.find(kLost); lost != variables.end()) env.lost = lost->second;
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
