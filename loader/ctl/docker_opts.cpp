// SPDX-License-Identifier: Apache-2.0
#include "ctl/docker_opts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/addr.hpp"
#include "base/unique_fd.hpp"

namespace weft::ctl {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kOptionPrefix = "DOCKER_OPT_";

std::string value_of(const EnvVariables &variables, std::string_view name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
}

EnvVariables caller_environment() {
    EnvVariables variables;
    for (char **entry = environ; entry && *entry; ++entry) {
        const std::string_view text(*entry);
        const auto equals = text.find('=');
        if (equals != text.npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return variables;
}

/// What is there and no regular file (/dev/stdout) cannot be replaced: it is written to.
Status write_output(const fs::path &path, std::string_view text) {
    std::error_code err;
    const auto status = fs::status(path, err); // what a symbolic link leads to
    if (status.type() == fs::file_type::not_found && !fs::is_symlink(fs::symlink_status(path, err)))
        return replace_file(path, text);
    if (status.type() == fs::file_type::regular) {
        const auto target = fs::canonical(path, err); // the link stays one
        if (!err) return replace_file(target, text);  // else it leads to an open file that has no name any more
    }
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    if (!file) return fail_errno(errno, path.string());
    while (!text.empty()) {
        const auto put = ::write(file.get(), text.data(), text.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_errno(errno, path.string());
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

} // namespace

Result<std::string> docker_opts_text(const DockerOptsRequest &request, const EnvVariables &subnet,
                                     const EnvVariables &environment) {
    EnvVariables options;
    for (const auto *variables : {&environment, &subnet})
        for (const auto &[name, value] : *variables)
            if (name.starts_with(kOptionPrefix)) options[name] = value;
    if (const auto bip = value_of(subnet, "FLANNEL_SUBNET"); !bip.empty()) options["DOCKER_OPT_BIP"] = "--bip=" + bip;
    if (const auto mtu = value_of(subnet, "FLANNEL_MTU"); !mtu.empty()) options["DOCKER_OPT_MTU"] = "--mtu=" + mtu;
    if (const auto ours = value_of(subnet, "FLANNEL_IPMASQ"); !ours.empty() && !request.without_ip_masq) {
        if (ours != "true" && ours != "false") return fail("Invalid value of FLANNEL_IPMASQ: " + ours, EINVAL);
        // One of the two masquerades, never both.
        options["DOCKER_OPT_IPMASQ"] = ours == "true" ? "--ip-masq=false" : "--ip-masq=true";
    }

    const bool both = request.individual == request.combined;
    std::string text, joined = value_of(environment, request.combined_key);
    if (!joined.empty()) joined += ' ';
    for (const auto &[name, value] : options) {
        if (both || request.individual) text += fmt::format("{}=\"{}\"\n", name, value);
        joined += " " + value;
    }
    if (both || request.combined) text += fmt::format("{}=\"{}\"\n", request.combined_key, joined);
    return text;
}

Status refuse_if_routed(const std::string &subnet, const std::vector<net::Route> &routes) {
    if (subnet.empty()) return {};
    const auto parsed = parse_net4(subnet);
    if (!parsed) return fail(fmt::format("FLANNEL_SUBNET: \"{}\" is not an IPv4 CIDR", subnet), EINVAL);
    for (const auto &route : routes)
        if (route.destination == parsed->canonical() && route.gateway)
            return fail("Your routing table already contains the subnet: " + net::to_string(route), EEXIST);
    return {};
}

Result<std::string> run_docker_opts(const DockerOptsRequest &request) {
    std::string remark;
    EnvVariables subnet;
    auto text = read_env_file(request.subnet_file);
    if (text)
        subnet = parse_env(*text);
    else if (text.error().code() == ENOENT)
        remark = fmt::format("{}, so Docker gets no subnet of this cluster", text.error().sentence());
    else
        return fail_as_is(std::move(text));
    auto options = docker_opts_text(request, subnet, caller_environment());
    if (!options) return options;
    if (auto written = write_output(request.output, *options); !written) return fail_as_is(std::move(written));

    auto sock = net::NlSocket::open();
    if (!sock) return fail_as_is(std::move(sock));
    auto routes = net::list_routes(*sock, {});
    if (!routes) return fail_as_is(std::move(routes));
    if (auto free = refuse_if_routed(value_of(subnet, "FLANNEL_SUBNET"), *routes); !free)
        return fail_as_is(std::move(free));
    return remark;
}

} // namespace weft::ctl
