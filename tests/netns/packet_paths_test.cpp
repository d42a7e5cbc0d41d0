// SPDX-License-Identifier: Apache-2.0
// Every kind of flow that a cluster has, beside kube-proxy's and portmap's rules: it works, the server sees whom it should,
// and the programs' counters tell who carried it. What is expected is packet_paths.cpp's table.
#include "packet_paths.hpp"

#include <set>

#include "service_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kBytes = 512 * 1024;
constexpr std::uint64_t kTcpPackets = kBytes / 1460; ///< at least, each way
constexpr unsigned kUdpRounds = 40;
const std::vector<std::size_t> kSmall{1, 64, 1400}, kBiggerThanMtu{1473, 4000, 9000};

struct Call {
    const Netns *from = nullptr;
    std::string address;
    std::uint16_t port = kTrafficPort;
};

class PacketPaths : public ServiceCluster {
protected:
    void SetUp() override {
        ServiceCluster::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        // The outside has routes into the cluster, through node 1.
        WEFT_ASSERT_OK(world().ip(fmt::format("route add 10.96.0.0/24 via {0}\nroute add {1} via {0}\n"
                                              "route add {2} via {0}",
                                              kNode1, on_1_->address, on_2_->address)));
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            WEFT_ASSERT_ASSIGN(const auto base, nodes_[n]->base_address());
            const auto node = fmt::format("node {}", n + 1);
            addresses_[node] = n == 0 ? kNode1 : kNode2;
            addresses_[node + "'s weft.1"] = base;
            addresses_[node + "'s gateway"] = (*parse_ip4(base) + 1).to_string();
        }
    }

    [[nodiscard]] Call call_of(const PacketPath &row) const {
        Call call{.from = row.from == "pod" ? &client_->ns : row.from == "host" ? &nodes_[0]->netns() : &world()};
        const bool on_1 = row.pod == "node 1", itself = row.pod == "itself";
        const auto to_node = [&](std::uint16_t port) {
            call.address = row.to.ends_with("node 1") ? kNode1 : kNode2;
            call.port = port;
        };
        if (row.to == "outside")
            call.address = Cluster::kWorld;
        else if (row.to.starts_with("pod"))
            call.address = on_1 ? on_1_->address : on_2_->address;
        else if (row.to.starts_with("ClusterIP"))
            call.address = itself ? kSelf : on_1 ? kOn1 : kOn2;
        else if (row.to.starts_with("local NodePort"))
            to_node(kLocalNodePortOn2);
        else if (row.to.starts_with("NodePort"))
            to_node(on_1 ? kNodePortOn1 : kNodePortOn2);
        else if (row.to.starts_with("hostPort")) // the client's is published on node 1 alone
            to_node(itself || !row.to.ends_with(row.pod) ? kHostPortSelf : kHostPort);
        else
            ADD_FAILURE() << "nobody knows what " << row.to << " is";
        return call;
    }

    [[nodiscard]] std::string served_by(const PacketPath &row) const {
        if (row.pod.empty()) return Cluster::kWorld;
        return row.pod == "itself" ? client_->address : row.pod == "node 1" ? on_1_->address : on_2_->address;
    }

    [[nodiscard]] std::string seen(const PacketPath &row) const {
        if (row.seen == "the client") return row.from == "pod" ? client_->address : Cluster::kWorld;
        const auto found = addresses_.find(row.seen);
        return found == addresses_.end() ? "?" : found->second;
    }

    /// What the table says of vxlan, said of this setup's backend: what the vxlan device would decapsulate for the host's stack
    /// the program pops itself.
    [[nodiscard]] std::vector<Step> steps_here(std::string_view path) const {
        auto steps = steps_of(path);
        for (std::size_t i = 1; i < steps.size(); ++i)
            if (GetParam().backend != "vxlan" && steps[i].counter == "from_tunnel/checked")
                steps[i - 1].counter = "from_wire/decap_to_host";
        return steps;
    }

    /// The counters that must tell of every packet of this row, by node.
    [[nodiscard]] std::array<std::set<std::string>, 2> expected_counters(const PacketPath &row) const {
        std::array<std::set<std::string>, 2> expected;
        for (const auto &path : {row.request, row.answer}) {
            for (const auto &step : steps_here(path)) {
                auto &of_node = expected.at(static_cast<std::size_t>(step.node - '1'));
                of_node.insert(step.counter);
                // The XDP program sees it first and either pops it or leaves it to tc with the same judgement.
                const auto reason = step.counter.substr(step.counter.find('/') + 1);
                if (GetParam().datapath == "xdp" && step.counter.starts_with("from_wire/"))
                    of_node.insert("xdp_wire/" + (reason == "decap_to_pod" ? std::string("xdp_popped") : reason));
            }
        }
        return expected;
    }

    /// Every counter of the row's path rose by the packets there were, and no other by more than the cluster's own murmur.
    void expect_path(const PacketPath &row, const Readings &before, const Readings &after, std::uint64_t packets) {
        const auto expected = expected_counters(row);
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            const auto counted = after[n] - before[n];
            for (const auto &name : expected[n])
                EXPECT_GE(count(counted, name), packets)
                    << "node " << n + 1 << ": " << name << " of " << to_string(counted);
            for (const auto &[name, rose] : counted) {
                if (expected[n].contains(name)) continue;
                EXPECT_LT(rose, packets / 4) << "node " << n + 1 << ": " << name << " of " << to_string(counted);
            }
        }
    }

    void expect_flow(const PacketPath &row) {
        const auto call = call_of(row);
        WEFT_EXPECT_OK(udp_echo(*call.from, call.address, kBiggerThanMtu, 2, call.port));
        WEFT_ASSERT_ASSIGN(const auto before, read_counters());
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer,
                               tcp_transfer(*call.from, call.address, kBytes,
                                            {.direction = direction, .port = call.port, .timeout = 10s}));
            EXPECT_EQ(transfer.seen_as, seen(row));
            EXPECT_EQ(transfer.served_by, served_by(row));
        }
        WEFT_ASSERT_ASSIGN(const auto between, read_counters());
        expect_path(row, before, between, kTcpPackets);
        WEFT_ASSERT_ASSIGN(const auto seen_as, udp_exchange(*call.from, call.address, {kSmall, kUdpRounds, call.port}));
        EXPECT_EQ(seen_as, seen(row));
        WEFT_ASSERT_ASSIGN(const auto after, read_counters());
        expect_path(row, between, after, kSmall.size() * kUdpRounds);
    }

    void expect_no_flow(const PacketPath &row) {
        if (row.to == "outside") return;
        const auto call = call_of(row);
        EXPECT_FALSE(tcp_transfer(*call.from, call.address, 1, {.port = call.port, .timeout = 300ms}));
        EXPECT_FALSE(udp_exchange(*call.from, call.address, {.port = call.port, .answer_within = 300ms}));
    }

    std::map<std::string, std::string, std::less<>> addresses_;
};

TEST_P(PacketPaths, EveryRowOfTheTable) {
    for (const auto &row : packet_paths()) {
        SCOPED_TRACE(fmt::format("{} to {}, pod on {}", row.from, row.to, row.pod));
        WEFT_ASSERT_ASSIGN(const auto before, invalid());
        if (row.seen.starts_with('('))
            expect_no_flow(row);
        else
            expect_flow(row);
        if (HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(const auto after, invalid());
        EXPECT_EQ(after, before) << "conntrack called packets invalid";
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, PacketPaths,
                         testing::Values(ServiceSetup{"tc", WireMode::offload, RuleSystem::iptables},
                                         ServiceSetup{"tc", WireMode::offload, RuleSystem::nftables},
                                         ServiceSetup{"tc", WireMode::bare, RuleSystem::iptables},
                                         ServiceSetup{"tc", WireMode::bare, RuleSystem::nftables},
                                         ServiceSetup{"xdp", WireMode::offload, RuleSystem::iptables},
                                         ServiceSetup{"xdp", WireMode::offload, RuleSystem::nftables},
                                         ServiceSetup{"xdp", WireMode::bare, RuleSystem::iptables},
                                         ServiceSetup{"xdp", WireMode::bare, RuleSystem::nftables}),
                         service_setup_name);
INSTANTIATE_TEST_SUITE_P(Backends, PacketPaths,
                         testing::Values(ServiceSetup{"tc", WireMode::offload, RuleSystem::iptables, "host-gw"},
                                         ServiceSetup{"tc", WireMode::bare, RuleSystem::nftables, "udp"}),
                         service_setup_name);

} // namespace
} // namespace weft::test
