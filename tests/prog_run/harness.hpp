// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
// Not <tins/tins.h>: it pulls in <pcap/bpf.h>, whose struct bpf_insn is not the kernel's.
#include <tins/arp.h>
#include <tins/ethernetII.h>
#include <tins/icmp.h>
#include <tins/icmpv6.h>
#include <tins/ip.h>
#include <tins/ipv6.h>
#include <tins/rawpdu.h>
#include <tins/tcp.h>
#include <tins/udp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datapath/datapath.hpp"
#include "datapath/features.hpp"
#include "datapath/skeletons.hpp"

namespace weft::prog_run {

using Bytes = std::vector<std::uint8_t>;

/// The node under test and its world. The addresses are those of the flannel cluster in tests/interop/fixtures.
namespace world {
inline const Ip4 kNode = *parse_ip4("192.0.2.2");
inline const Ip4 kPeer = *parse_ip4("192.0.2.1");
inline const Ip4 kStranger = *parse_ip4("192.0.2.66");
inline const Ip4 kRouter = *parse_ip4("192.0.2.254");
inline const Mac kVtepMac = *parse_mac("1e:3a:76:11:44:7f");
inline const Mac kPeerVtepMac = *parse_mac("16:d2:3f:db:e2:37");
inline const Mac kPeerLinkMac = *parse_mac("02:00:00:00:00:01"); ///< its uplink's
inline const Mac kPodMac = *parse_mac("0a:00:00:00:00:02");
inline const Mac kPodHostMac = *parse_mac("0a:00:00:00:01:02");
inline const Ip4 kPod = *parse_ip4("10.244.63.2");
inline const Ip4 kNeighbourPod = *parse_ip4("10.244.63.3");
inline const Ip4 kStackPod = *parse_ip4("10.244.63.4");  ///< its endpoint asks for the stack
inline const Ip4 kShapedPod = *parse_ip4("10.244.63.5"); ///< weftd saw a qdisc on its veth
inline const Ip4 kNoPod = *parse_ip4("10.244.63.99");
inline const Ip4 kPeerPod = *parse_ip4("10.244.86.2");
inline const Ip4 kNoLease = *parse_ip4("10.244.99.9");
inline const Ip4 kOutside = *parse_ip4("198.51.100.7");
inline const Ip6 kNode6 = *parse_ip6("2001:db8::2");
inline const Ip6 kPeer6 = *parse_ip6("2001:db8::1");
inline const Ip6 kRouter6 = *parse_ip6("fe80::254");
inline const Ip6 kPod6 = *parse_ip6("fd00:244:0:63::2");
inline const Ip6 kNeighbourPod6 = *parse_ip6("fd00:244:0:63::3");
inline const Ip6 kNoPod6 = *parse_ip6("fd00:244:0:63::99");
inline const Ip6 kPeerPod6 = *parse_ip6("fd00:244:0:86::2");   ///< over IPv6
inline const Ip6 kDriverPod6 = *parse_ip6("fd00:244:0:87::2"); ///< over IPv6, its node wants checksums
inline const Ip6 kMixedPod6 = *parse_ip6("fd00:244:0:88::2");  ///< over IPv4
inline const Ip6 kDirectPod6 = *parse_ip6("fd00:244:0:89::2"); ///< without outer headers
inline const Ip4 kMixedPod = *parse_ip4("10.244.88.2");        ///< over IPv6
inline const Ip6 kNoLease6 = *parse_ip6("fd00:244:0:99::9");
inline const Ip6 kOutside6 = *parse_ip6("2001:db8:ffff::7");
inline constexpr unsigned kPodIfindex = 1; ///< lo: programs run on it unless told otherwise
inline constexpr unsigned kNeighbourIfindex = 77;
inline constexpr unsigned kUplinkIfindex = 9;
inline constexpr unsigned kMtu = 1450;
inline constexpr unsigned kPeerStats = 5;
} // namespace world

/// What one run of a program did.
struct Outcome {
    int verdict = -1;
    Bytes packet;                                   ///< as it left the program
    Bytes metadata;                                 ///< XDP only
    std::map<std::string, std::uint64_t> reasons;   ///< label -> packets counted by this run
    std::map<std::string, std::uint64_t> tolerated; ///< the same of checks that only count
    weft_lease_stats peer{};                        ///< counted for the peer's lease by this run
    std::uint32_t mark = 0;
};

/// The kernel's test context: what a row may set besides the bytes.
struct Context {
    std::uint32_t ifindex = world::kPodIfindex;
    std::uint32_t gso_size = 0;
    std::uint32_t gso_segs = 0;
    std::uint32_t mark = 0;
    std::uint32_t metadata = 0;                  ///< XDP only: bytes of it that somebody has written already
    bool fast_path = true;                       ///< false: as --fast-path=off loads them on a node of IPv4 and VXLAN
    weft_check_mode checks = WEFT_CHECK_ENFORCE; ///< ENFORCE: as they come; --check=all=count, all=off
    int behind = -1;                             ///< a program to run in place of the hook's, which hands on to it
};

/// The programs, loaded once for the whole test binary in a network namespace of its own, with the world's leases and pods in
/// their maps.
class Programs : public ::testing::Environment {
public:
    void SetUp() override;
    void TearDown() override;

    static Programs &instance();
    [[nodiscard]] bool available() const { return fast_.datapath != nullptr; }
    [[nodiscard]] const std::string &why_not() const { return why_not_; }

    [[nodiscard]] Outcome run(weft_hook hook, const Bytes &packet, const Context &context = {});
    [[nodiscard]] Datapath &datapath() { return *fast_.datapath; }
    /// What this kernel has.
    [[nodiscard]] const datapath::Features &features() const { return features_; }
    [[nodiscard]] int events_fd() const { return events_fd_.get(); }
    [[nodiscard]] int counters_fd() const { return counters_fd_.get(); }
    [[nodiscard]] int program_fd(weft_hook hook, const Context &context = {}) const;
    /// Packets counted for a sender so far, on all CPUs.
    [[nodiscard]] std::uint64_t refused(const weft_refused_key &key) const;

private:
    /// One load of the programs, on the maps that are pinned.
    struct Loaded {
        std::unique_ptr<Datapath> datapath;
        datapath::SkelPtr<xdp_wire_bpf> xdp;
    };
    [[nodiscard]] Result<Loaded> load_programs(const Context &context) const;
    [[nodiscard]] Status load();
    [[nodiscard]] Status fill_maps();
    [[nodiscard]] std::map<std::string, std::uint64_t> read_reasons(int fd, weft_hook hook);
    [[nodiscard]] weft_lease_stats read_peer_stats();

    Loaded fast_, off_, counting_, unchecked_;
    datapath::Features features_ = datapath::probe_features();
    std::filesystem::path bpf_dir_;
    std::string why_not_;
    UniqueFd counters_fd_, tolerated_fd_, refused_fd_, stats_fd_, events_fd_;
};

/// Skips a test of what a kernel without that part leaves to the host's stack: `WEFT_NEEDS_FEATURE(conntrack_lookup);`
#define WEFT_NEEDS_FEATURE(part)                                                                                       \
    if (!weft::prog_run::Programs::instance().features().part) GTEST_SKIP() << "this kernel lacks " #part

/// One line of a table: a sentence, a packet, and what must become of it.
struct Row {
    std::string sentence;
    Bytes packet;
    std::string reason;                                                       ///< label
    std::function<void(const Bytes &in, const Outcome &out)> check = nullptr; ///< of the bytes; null: unchanged
    Context context = {};
};
void PrintTo(const Row &row, std::ostream *os);
/// A row's sentence as a test name.
std::string row_name(const ::testing::TestParamInfo<Row> &info);

/// Runs one row: asserts the reason, the verdict that belongs to its class, and the bytes.
void expect_row(weft_hook hook, const Row &row);

// --- building packets -----------------------------------------------------------------------------------------------

[[nodiscard]] Tins::EthernetII eth(const Mac &dst, const Mac &src);
[[nodiscard]] Tins::IP ip(const Ip4 &src, const Ip4 &dst, std::uint8_t ttl = 64, std::uint8_t tos = 0);
[[nodiscard]] Tins::IPv6 ip6(const Ip6 &src, const Ip6 &dst, std::uint8_t hops = 64, std::uint8_t traffic_class = 0);
[[nodiscard]] Tins::TCP tcp(std::uint16_t dport = 80, std::uint16_t sport = 40000);
[[nodiscard]] Tins::UDP udp(std::uint16_t dport = 53, std::uint16_t sport = 40000);
[[nodiscard]] Bytes bytes_of(const Tins::PDU &pdu);

struct Outer {
    Ip4 src = world::kPeer;
    Ip4 dst = world::kNode;
    std::uint16_t dport = WEFT_DEFAULT_PORT;
    std::uint32_t flags = 0x08000000;
    std::uint32_t vni = WEFT_DEFAULT_VNI;
    Mac inner_dst = world::kVtepMac;
    std::uint8_t tos = 0;
};
/// A tunnel packet around an inner IP packet.
[[nodiscard]] Bytes tunnel(const Tins::IP &inner, const Outer &outer = {});
/// The same around any inner payload with this ethertype.
[[nodiscard]] Bytes tunnel_raw(const Bytes &payload, std::uint16_t ethertype, const Outer &outer = {});
/// `packet` with other bytes from `offset` on. IP checksums are the caller's business.
[[nodiscard]] Bytes patched(Bytes packet, std::size_t offset, std::initializer_list<std::uint8_t> bytes);
/// The IPv4 header at `ip` patched, from an offset in it on, and summed up again.
[[nodiscard]] Bytes patched_ip4(Bytes packet, std::size_t ip, std::size_t offset,
                                std::initializer_list<std::uint8_t> bytes);
[[nodiscard]] Bytes cut(Bytes packet, std::size_t length);

inline constexpr std::size_t kEthLen = 14;
inline constexpr std::size_t kOverhead = WEFT_VXLAN_OVERHEAD;
/// Where the inner IP header of a tunnel packet starts.
inline constexpr std::size_t kInnerIp = kEthLen + kOverhead;

// --- reading packets --------------------------------------------------------------------------------------------------

[[nodiscard]] bool ip_checksum_ok(const Bytes &packet, std::size_t ip_offset);
[[nodiscard]] std::uint16_t be16(const Bytes &packet, std::size_t offset);

} // namespace weft::prog_run
