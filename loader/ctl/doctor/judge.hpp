// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "ctl/doctor/check.hpp"
#include "etcd/tls_files.hpp"

namespace weft::ctl {

/// Parts of checks that are pure, so that tests can show them a host that cannot be made.

/// @param count,max of nf_conntrack_count and nf_conntrack_max; not a number: the kernel has none.
[[nodiscard]] Finding judge_conntrack(std::string_view count, std::string_view max);

/// @param drops of the last minute, by "program/reason".
[[nodiscard]] Finding judge_drops(const std::map<std::string, std::uint64_t> &drops);

/// @param validity of one of the files by which weftd and etcd know each other.
[[nodiscard]] Finding judge_validity(const etcd::Validity &validity, std::chrono::system_clock::time_point now);

/// Whether pods' packets and `overhead` bytes of outer headers fit an uplink.
[[nodiscard]] Finding judge_mtu(unsigned pod_mtu, unsigned overhead, const std::string &uplink, unsigned uplink_mtu);

} // namespace weft::ctl
