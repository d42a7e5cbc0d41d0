// SPDX-License-Identifier: Apache-2.0
#include "config/subnet_env.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <vector>

#include "base/unique_fd.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr const char *kNetwork = "FLANNEL_NETWORK", *kSubnet = "FLANNEL_SUBNET", *kNetwork6 = "FLANNEL_IPV6_NETWORK",
                     *kSubnet6 = "FLANNEL_IPV6_SUBNET", *kMtu = "FLANNEL_MTU", *kIpMasq = "FLANNEL_IPMASQ";

using Variables = std::map<std::string, std::string, std::less<>>;

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r";
    const auto begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// A value without its quotes, or without the comment that follows it.
std::string_view unquote(std::string_view value) {
    if (!value.empty() && (value.front() == '"' || value.front() == '\'')) {
        const auto end = value.find(value.front(), 1);
        if (end != std::string_view::npos) return value.substr(1, end - 1);
    }
    if (const auto comment = value.find(" #"); comment != std::string_view::npos) value = value.substr(0, comment);
    return trim(value);
}

/// Splits at `separator`; an empty text has one empty part.
std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

Variables parse_variables(std::string_view text) {
    Variables variables;
    for (auto line : split(text, '\n')) {
        line = trim(line);
        constexpr std::string_view kExport = "export ";
        if (line.starts_with(kExport)) line.remove_prefix(kExport.size());
        const auto equals = line.find('=');
        if (line.starts_with('#') || equals == std::string_view::npos) continue;
        variables.insert_or_assign(std::string(trim(line.substr(0, equals))),
                                   std::string(unquote(trim(line.substr(equals + 1)))));
    }
    return variables;
}

/// The CIDRs of a comma list; entries that are none are skipped, as flannel's readers do.
template <class Net>
std::vector<Net> parse_list(const Variables &variables, const char *name, Result<Net> (*parse)(std::string_view)) {
    std::vector<Net> nets;
    const auto it = variables.find(name);
    if (it == variables.end()) return nets;
    for (const auto part : split(it->second, ','))
        if (auto net = parse(trim(part))) nets.push_back(*net);
    return nets;
}

Status bad_value(const Variables &variables, const char *name, std::string_view wanted) {
    return fail(fmt::format("{}: \"{}\" is not {}", name, variables.find(name)->second, wanted));
}

Result<std::string> read_file(const fs::path &path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno(errno, path.string());
    std::string text;
    char block[4096];
    while (true) {
        const auto got = ::read(file.get(), block, sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, path.string());
        if (got == 0) return text;
        text.append(block, static_cast<std::size_t>(got));
    }
}

Status write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto put = ::write(fd, text.data(), text.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_errno(errno, "write");
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

/// Makes `temp` (a mkstemp template, filled in) hold `text`, safely on disk.
Status write_temp(std::string &temp, std::string_view text) {
    const UniqueFd file(::mkostemp(temp.data(), O_CLOEXEC));
    if (!file) return fail_errno(errno, "create " + temp);
    Status done = write_all(file.get(), text);
    // mkostemp makes it 0600, and the umask must not matter: CNI plugins of any user read it.
    if (done && ::fchmod(file.get(), 0644) != 0) done = fail_errno(errno, "chmod " + temp);
    if (done && ::fsync(file.get()) != 0) done = fail_errno(errno, "fsync " + temp);
    if (!done) ::unlink(temp.c_str());
    return done;
}

/// Makes the directory and its parents, 0755 whatever the umask; existing ones are left as they are.
Status make_directory(const fs::path &directory) {
    fs::path made;
    for (const auto &part : directory) {
        made /= part;
        if (::mkdir(made.c_str(), 0755) != 0) {
            if (errno == EEXIST) continue;
            return fail_errno(errno, "mkdir " + made.string());
        }
        if (::chmod(made.c_str(), 0755) != 0) return fail_errno(errno, "chmod " + made.string());
    }
    return {};
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
    const auto variables = parse_variables(text);
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
    auto text = read_file(path);
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
    const auto text = read_file(path);
    if (!text) return previous;
    const auto variables = parse_variables(*text);
    if (const auto nets = parse_list<Net4>(variables, kSubnet, parse_net4); nets.size() == 1)
        previous.v4 = nets.front().canonical();
    if (const auto nets = parse_list<Net6>(variables, kSubnet6, parse_net6); nets.size() == 1)
        previous.v6 = nets.front().canonical();
    return previous;
}

Status write_subnet_env(const fs::path &path, const SubnetEnv &env) {
    const auto context = path.string();
    const auto directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (auto made = make_directory(directory); !made) return fail_in(std::move(made), context);
    std::string temp = (directory / ("." + path.filename().string() + ".XXXXXX")).string();
    if (auto written = write_temp(temp, format(env)); !written) return fail_in(std::move(written), context);
    if (::rename(temp.c_str(), path.c_str()) != 0) {
        const int err = errno;
        ::unlink(temp.c_str());
        return fail_in(Status(fail_errno(err, "rename")), context);
    }
    // The rename itself survives a power loss only once the directory is on disk.
    const UniqueFd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir) return fail_errno(errno, context + ": open " + directory.string());
    if (::fsync(dir.get()) != 0) return fail_errno(errno, context + ": fsync " + directory.string());
    return {};
}

} // namespace weft
