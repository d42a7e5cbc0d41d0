// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "dirs.hpp"
#include "netns.hpp"

namespace weft::test {

/// What a test asks about one IPv4 header and what it carries.
struct Ip4View {
    Ip4 source, destination;
    std::uint8_t ttl = 0, tos = 0, protocol = 0;
    std::uint16_t id = 0, total_length = 0;
    bool dont_fragment = false, fragment = false;
    bool header_checksum_valid = false;
    bool length_valid = false;                                                 ///< total_length is what the frame holds
    std::uint16_t source_port = 0, destination_port = 0;                       ///< UDP and TCP
    enum class Checksum { none, valid, invalid } l4_checksum = Checksum::none; ///< none: UDP's 0
    bool l4_length_valid = false;                                              ///< UDP's own length field
    std::vector<std::uint8_t> payload;                                         ///< after the UDP or TCP header
};

/// One frame of a capture that is VXLAN over IPv4.
struct VxlanFrame {
    Mac source_mac, destination_mac;
    Ip4View outer;
    std::uint8_t flags = 0; ///< 0x08: VNI valid
    bool reserved_zero = false;
    std::uint32_t vni = 0;
    Mac inner_source_mac, inner_destination_mac;
    std::uint16_t inner_ethertype = 0;
    std::optional<Ip4View> inner; ///< unless it carries something else than IPv4

    /// One line, for the message of a failed assertion.
    [[nodiscard]] std::string to_string() const;
};

/// Every frame of a capture file that goes to UDP port `port`, decoded; checksums and lengths are judged by computing
/// them again (by libtins). A packet cut short by the capture is an error.
[[nodiscard]] Result<std::vector<VxlanFrame>> read_vxlan(const std::filesystem::path &pcap, std::uint16_t port = 8472);

/// A running tcpdump.
class Capture {
public:
    /// Comes back when tcpdump listens. `filter`: a pcap expression.
    [[nodiscard]] static Result<Capture> start(const Netns &ns, std::string_view interface,
                                               std::string_view filter = "udp");
    /// Ends it once everything is written that passed the interface before this call: a frame of a private ethertype is sent
    /// behind it, and waited for in the file.
    Status stop();
    [[nodiscard]] std::filesystem::path file() const { return dir_ / "capture.pcap"; }
    /// stop(), then read_vxlan() of the file.
    [[nodiscard]] Result<std::vector<VxlanFrame>> vxlan_frames(std::uint16_t port = 8472);

private:
    Capture(TempDir dir, Process process, std::string netns, std::string interface)
        : dir_(std::move(dir)), tcpdump_(std::move(process)), netns_(std::move(netns)),
          interface_(std::move(interface)) {}
    TempDir dir_;
    Process tcpdump_;
    std::string netns_, interface_;
};

} // namespace weft::test
