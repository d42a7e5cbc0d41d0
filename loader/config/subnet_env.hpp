// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"

namespace weft {

/// What a node tells its CNI plugin (and flannel's other readers) in `/run/flannel/subnet.env`.
///
/// Contract: one family or both; of a family both prefixes or none.
struct SubnetEnv {
    std::optional<Net4> network; ///< the cluster's pod network, canonical
    std::optional<Net4> subnet;  ///< this node's; the address is the gateway, base + 1: 10.42.3.1/24
    std::optional<Net6> ipv6_network;
    std::optional<Net6> ipv6_subnet;
    unsigned mtu = 0; ///< of pods' interfaces, bytes
    bool ip_masq = false;
    std::string
        lost; ///< why no new pod may have an address of it (weft's own WEFT_SUBNET_LOST); usually empty, and not written

    [[nodiscard]] std::vector<Net> networks() const; ///< those that are there, IPv4 first
    [[nodiscard]] std::vector<Net> subnets() const;  ///< in the same order

    bool operator==(const SubnetEnv &) const = default;
};

/// The subnets of an earlier run, masked: what a node asks for when it comes back without a lease.
struct PreviousSubnet {
    std::optional<Net4> v4;
    std::optional<Net6> v6;
};

/// The file's bytes, exactly as flannel writes them, unless the subnet is lost.
[[nodiscard]] std::string format(const SubnetEnv &env);

/// Reads `KEY=VALUE` lines: blank lines, `#` comments, `export`, quotes and unknown keys are allowed, the last of
/// duplicated keys wins. In a comma list, entries that are no CIDR are skipped and the first one left counts.
/// Missing variables are listed together; a wrong value is named with its variable. A file that names no family lacks
/// IPv4's variables.
[[nodiscard]] Result<SubnetEnv> parse_subnet_env(std::string_view text);

/// parse_subnet_env() of a file; errors name the file.
[[nodiscard]] Result<SubnetEnv> read_subnet_env(const std::filesystem::path &path);

/// Only the subnets, for the daemon's own start: nothing else need be in the file. A file that is not there, no CIDR,
/// or a list of several is the same as no previous subnet.
[[nodiscard]] PreviousSubnet read_previous_subnet(const std::filesystem::path &path);

/// Replaces the file in one step: a reader, or a crash at any moment, sees the old bytes or the new ones. Makes the
/// directory (0755) if need be; the file's mode is 0644.
[[nodiscard]] Status write_subnet_env(const std::filesystem::path &path, const SubnetEnv &env);

} // namespace weft
