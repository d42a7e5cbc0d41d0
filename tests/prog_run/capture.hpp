// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::prog_run {

/// The frames of a pcap file. Apart from the harness, because <pcap/bpf.h> and <linux/bpf.h> cannot share a file.
[[nodiscard]] std::vector<std::vector<std::uint8_t>> read_capture(const std::string &path);

} // namespace weft::prog_run
