// SPDX-License-Identifier: Apache-2.0
// Random packets through the programs and through the model of their rules: verdict, reason and bytes must be the same.
// WEFT_PACKETS says how many for each program (20,000 unless told), WEFT_SEED which (1 unless told; 0: any).
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/pkt_cls.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "datapath/features.hpp"
#include "harness.hpp"
#include "in_front.hpp"
#include "model.hpp"
#include "pinned.hpp"
#include "random_packets.hpp"

namespace weft::prog_run {
namespace {

using namespace world;
using model::Expected;

std::uint64_t number_in(const char *variable, std::uint64_t otherwise) {
    const char *text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string label(unsigned reason) {
    const auto *info = std::ranges::find(abi::kReasons, static_cast<weft_reason>(reason), &abi::ReasonInfo::reason);
    return info == std::end(abi::kReasons) ? fmt::format("{}", reason) : std::string(info->label);
}

std::string hex(const Bytes &bytes) {
    std::string text;
    for (const auto byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

/// The world of the tables, and leases of the encapsulations that it has none of.
model::World make_world(const Datapath &datapath) {
    weft_lease lease{};
    lease.node = abi::ip(kPeer);
    lease.next_hop = abi::ip(kRouter);
    lease.ifindex = kUplinkIfindex;
    lease.stats_index = kPeerStats;
    lease.vtep_mac = abi::mac(kPeerVtepMac);
    lease.mtu = 1400;
    lease.link_mac = abi::mac(kPeerLinkMac);
    for (const auto &[net, encap] : {std::pair("10.244.90.0/24", WEFT_ENCAP_UDP),
                                     {"10.244.91.0/24", WEFT_ENCAP_IPIP},
                                     {"10.244.92.0/24", WEFT_ENCAP_DIRECT},
                                     {"10.244.93.0/24", WEFT_ENCAP_NONE},
                                     {"10.244.86.64/26", WEFT_ENCAP_DIRECT}}) {
        lease.encap = static_cast<__u8>(encap);
        EXPECT_TRUE(datapath.leases().put(abi::lease_key(*parse_net(net)), lease));
    }
    model::World world{.networks = {*parse_net("10.244.0.0/16"), *parse_net("fd00:244::/48")},
                       .own = {*parse_net("10.244.63.0/24"), *parse_net("fd00:244:0:63::/64")},
                       .nodes = {kNode, kNode6},
                       .vtep_mac = kVtepMac,
                       .leases = {},
                       .peers = {kPeer, kPeer6},
                       .endpoints = {},
                       .pops_other_family = datapath::probe_features().pop_other_family};
    const auto leases = datapath.leases().entries();
    const auto endpoints = datapath.endpoints().entries();
    for (const auto &[key, entry] : *leases) world.leases.emplace(abi::subnet(key), entry);
    for (const auto &[key, entry] : *endpoints) world.endpoints.emplace(abi::ip(key), entry);
    return world;
}

RandomPackets::Cast cast_of(const model::World &world) {
    RandomPackets::Cast cast{
        .nodes = {kNode, kNode6},
        .peers = {kPeer, kPeer6},
        .pods = {kPod, kPod6, kPod, kPod6, kPod, kPod6},
        .far = {},
        .other = {kStranger, kRouter, kOutside, kNoPod, kNoLease, kRouter6, kOutside6, kNoPod6, kNoLease6},
        .vtep_mac = kVtepMac,
        .pod_mac = kPodMac,
        .link_mac = kPeerLinkMac,
        .macs = {kVtepMac, kPeerVtepMac, kPeerLinkMac, kPodMac, kPodHostMac, *parse_mac("01:00:5e:00:00:01")}};
    for (const auto &[address, pod] : world.endpoints) cast.pods.push_back(address);
    for (const auto &[net, lease] : world.leases) cast.far.push_back(net.address() + 2);
    for (const char *odd : {"0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "240.0.0.1", "10.244.255.255", "::",
                            "::1", "ff02::1", "fe80::1", "::ffff:10.244.63.2", "::ffff:192.0.2.2", "::ffff:192.0.2.1"})
        cast.other.push_back(*parse_ip(odd));
    return cast;
}

/// BPF_PROG_RUN refuses a tc program IP packets without a whole IP header (kernel 6.18); for XDP it takes them.
bool can_run(weft_hook hook, const Bytes &frame) {
    const unsigned ethertype = frame[12] << 8 | frame[13];
    const std::size_t least = ethertype == 0x0800 ? 20 : ethertype == 0x86dd ? 40 : 0;
    return hook == WEFT_HOOK_XDP_WIRE || frame.size() >= kEthLen + least;
}

int verdict_of(weft_hook hook, int reason) {
    const bool drop = reason >= WEFT_R_FIRST_DROP;
    if (hook == WEFT_HOOK_XDP_WIRE) return drop ? XDP_DROP : XDP_PASS;
    return drop ? TC_ACT_SHOT : reason < WEFT_R_FIRST_STACK ? TC_ACT_REDIRECT : TC_ACT_UNSPEC;
}

/// A packet, and what the kernel says of it to from_tunnel.
struct Sample {
    Bytes frame;
    std::optional<TunnelKey> key = std::nullopt;
    std::uint32_t mark = 0;
};

/// One program's runs, cheap enough for millions: reasons are counted by the program and compared for many packets at once.
class Differential {
public:
    Differential(Programs &programs, weft_hook hook) : programs_(programs), hook_(hook) {
        if (hook != WEFT_HOOK_FROM_TUNNEL) return;
        auto behind = BehindTunnel::create(programs.program_fd(hook));
        EXPECT_TRUE(behind) << behind.error().sentence();
        if (behind) behind_ = std::move(*behind);
    }

    using Counts = std::array<std::uint64_t, WEFT_R_COUNT>;

    [[nodiscard]] Counts counted() const {
        Counts counts{};
        for (unsigned reason = 0; reason < WEFT_R_COUNT; ++reason) {
            const auto values = maps::read_percpu<weft_counter>(
                programs_.counters_fd(), static_cast<unsigned>(hook_) * WEFT_R_COUNT + reason, "counters");
            for (const auto &value : *values) counts[reason] += value.packets;
        }
        return counts;
    }

    /// @return what differs, but for the reason; empty if nothing does
    [[nodiscard]] std::string run(const Sample &sample, const Expected &expected) {
        const auto &frame = sample.frame;
        std::array<std::uint8_t, 4096> out; // NOLINT(cppcoreguidelines-pro-type-member-init): written by the kernel
        const bool xdp = hook_ == WEFT_HOOK_XDP_WIRE;
        __sk_buff skb{.mark = sample.mark, .ifindex = kPodIfindex};
        if (behind_ && !behind_->set_key(sample.key)) return "no tunnel key";
        xdp_md md{.data_end = static_cast<__u32>(frame.size())}, md_out{};
        bpf_test_run_opts opts{};
        opts.sz = sizeof opts;
        opts.data_in = frame.data(), opts.data_size_in = static_cast<__u32>(frame.size());
        opts.data_out = out.data(), opts.data_size_out = static_cast<__u32>(out.size());
        opts.repeat = 1;
        opts.ctx_in = xdp ? static_cast<const void *>(&md) : &skb;
        opts.ctx_size_in = xdp ? sizeof md : sizeof skb;
        opts.ctx_out = xdp ? &md_out : nullptr, opts.ctx_size_out = xdp ? sizeof md_out : 0;
        if (const int err =
                bpf_prog_test_run_opts(behind_ ? behind_->program_fd() : programs_.program_fd(hook_), &opts);
            err != 0)
            return fmt::format("BPF_PROG_RUN: {}", std::strerror(-err));
        if (static_cast<int>(opts.retval) != verdict_of(hook_, expected.reason))
            return fmt::format("verdict {}, not {}", static_cast<int>(opts.retval), verdict_of(hook_, expected.reason));
        Bytes got(out.begin() + md_out.data, out.begin() + opts.data_size_out);
        if (!model::normalise(got, expected.pushed)) return "an outer header that may not be: " + hex(got);
        return got == expected.packet ? std::string()
                                      : fmt::format("bytes {}\nnot   {}", hex(got), hex(expected.packet));
    }

private:
    Programs &programs_;
    weft_hook hook_;
    std::optional<BehindTunnel> behind_;
};

struct Side {
    std::string name;
    weft_hook hook;
    std::function<Expected(model::World &, const Sample &)> rules;
    std::function<Sample(RandomPackets &)> draw;
};
void PrintTo(const Side &side, std::ostream *os) { *os << side.name; }

class DifferentialTest : public ::testing::TestWithParam<Side> {};

TEST_P(DifferentialTest, TheProgramDoesWhatTheRulesSay) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    constexpr unsigned kTogether = 1000; // packets between two looks at the counters
    const auto &side = GetParam();
    if (side.hook == WEFT_HOOK_FROM_TUNNEL) WEFT_NEEDS_FEATURE(tunnel_source);
    const auto packets = number_in("WEFT_PACKETS", 20'000), told = number_in("WEFT_SEED", 1);
    const std::uint64_t seed = told != 0 ? told : std::random_device()();
    fmt::print("{} packets, seed {}\n", packets, seed);
    auto world = make_world(programs.datapath());
    RandomPackets random(seed, cast_of(world));
    Differential differential(programs, side.hook);

    std::map<unsigned, std::uint64_t> met;
    for (std::uint64_t done = 0; done < packets && !HasFailure();) {
        Differential::Counts expected{};
        const auto before = differential.counted();
        std::vector<Sample> samples;
        for (; samples.size() < kTogether && done < packets; ++done) {
            auto sample = side.draw(random);
            if (!can_run(side.hook, sample.frame)) continue;
            samples.push_back(std::move(sample));
            const auto rules = side.rules(world, samples.back());
            ++expected[rules.reason], ++met[rules.reason];
            const auto difference = differential.run(samples.back(), rules);
            ASSERT_EQ(difference, "") << "packet " << done << " of seed " << seed << ", by the rules "
                                      << label(rules.reason) << ": " << hex(samples.back().frame);
        }
        auto counted = differential.counted();
        for (unsigned reason = 0; reason < WEFT_R_COUNT; ++reason) counted[reason] -= before[reason];
        if (counted == expected) continue;
        for (const auto &sample : samples) { // which of them was it?
            const auto rules = side.rules(world, sample);
            const auto old = differential.counted();
            ASSERT_EQ(differential.run(sample, rules), "");
            const auto now = differential.counted();
            for (unsigned reason = 0; reason < WEFT_R_COUNT; ++reason)
                ASSERT_EQ(now[reason] - old[reason], reason == rules.reason ? 1U : 0U)
                    << label(reason) << ", by the rules " << label(rules.reason) << ": " << hex(sample.frame);
        }
    }
    // Packets that are all refused at the door would prove nothing.
    EXPECT_GE(met.size(), 7U);
    for (const auto &[reason, count] : met) fmt::print("{:>20} {}\n", label(reason), count);
}

Sample plain(RandomPackets &random) { return {random.plain()}; }
Sample received(RandomPackets &random) { return {random.received()}; }

/// Mostly out of a tunnel; or without a word of the kernel's, which from_wire has marked, or nobody.
Sample decapsulated(RandomPackets &random) {
    const auto frame = random.decapsulated();
    const auto sender = random.sender();
    if (!sender) return {.frame = frame, .mark = frame.back() & 1 ? model::kReceivedMark : 0};
    return {.frame = frame, .key = TunnelKey{sender->address, sender->vni}};
}

const std::vector<Side> kSides{
    {"FromPod", WEFT_HOOK_FROM_POD,
     [](auto &world, const auto &sample) { return model::from_pod(world, kPodIfindex, sample.frame); }, plain},
    {"FromHost", WEFT_HOOK_FROM_HOST,
     [](auto &world, const auto &sample) { return model::from_host(world, sample.frame); }, plain},
    {"FromWire", WEFT_HOOK_FROM_WIRE,
     [](auto &world, const auto &sample) { return model::from_wire(world, sample.frame); }, received},
    {"XdpWire", WEFT_HOOK_XDP_WIRE,
     [](auto &world, const auto &sample) { return model::xdp_wire(world, sample.frame); }, received},
    {"FromTunnel", WEFT_HOOK_FROM_TUNNEL,
     [](auto &world, const auto &sample) { return model::from_tunnel(world, sample.key, sample.mark, sample.frame); },
     decapsulated}};

INSTANTIATE_TEST_SUITE_P(Programs, DifferentialTest, ::testing::ValuesIn(kSides),
                         [](const auto &side) { return side.param.name; });

} // namespace
} // namespace weft::prog_run
