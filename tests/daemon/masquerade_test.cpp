// SPDX-License-Identifier: Apache-2.0
// --ip-masq and FORWARD DROP as packets meet them: who arrives, and under which address.
#include "rules_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kBytes = 64 * 1024;

/// Two nodes with a pod each, both hosts with firewalls of the kind.
class Masquerade : public RulesTest {
protected:
    void bring_up(Host host, std::vector<std::string> flags = {}) {
        WEFT_ASSERT_ASSIGN(other_, cluster_->add_stopped_node());
        for (auto *node : {node_, other_}) {
            furnish(*node, host);
            WEFT_ASSERT_OK(node->start(masquerading(flags)));
        }
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, other_->add_pod());
    }
    /// Makes the world send to that pod through the node at `via`.
    void route_world_to(const Pod &pod, const char *via) {
        WEFT_ASSERT_OK(cluster_->world().ip(fmt::format("route replace {} via {}", pod.address, via)));
    }
    static std::string seen_from(const Netns &from, const std::string &to) {
        const auto transfer = tcp_transfer(from, to, kBytes, {.timeout = 10s});
        if (!transfer) ADD_FAILURE() << transfer.error().sentence();
        return transfer ? transfer->seen_as : "";
    }

    WeftNode *other_ = nullptr;
    Pod *pod_ = nullptr, *remote_ = nullptr;
};

class MasqueradeOn : public Masquerade, public testing::WithParamInterface<Host> {};

TEST_P(MasqueradeOn, IsSeenAsFlannelsNodesShowIt) {
    ASSERT_NO_FATAL_FAILURE(bring_up(GetParam()));
    EXPECT_EQ(rules_in_use(), rules_of(GetParam()));
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    // Ping takes the host's stack, FORWARD and all.
    WEFT_EXPECT_OK(ping(pod_->ns, remote_->address));
    EXPECT_EQ(seen_from(pod_->ns, remote_->address), pod_->address) << "pods meet under their own addresses";
    EXPECT_EQ(seen_from(pod_->ns, Cluster::kWorld), "192.0.2.1") << "the world knows nodes only";
    EXPECT_EQ(seen_from(node_->netns(), remote_->address), base) << "a node goes to pods as its weft.1";
    route_world_to(*pod_, "192.0.2.1");
    EXPECT_EQ(seen_from(cluster_->world(), pod_->address), Cluster::kWorld) << "pods see who really calls them";
    route_world_to(*remote_, "192.0.2.1");
    EXPECT_EQ(seen_from(cluster_->world(), remote_->address), base)
        << "through another node: or no answer would pass it";
}

INSTANTIATE_TEST_SUITE_P(Hosts, MasqueradeOn, testing::ValuesIn(kHosts), host_name);

TEST_F(Masquerade, ForwardDropIsRealWithoutTheForwardRules) {
    ASSERT_NO_FATAL_FAILURE(bring_up(Host::iptables_nft, {"--iptables-forward-rules=false"}));
    EXPECT_FALSE(ping(pod_->ns, remote_->address, 1, "-W 1"));
    WEFT_EXPECT_OK(tcp_transfer(pod_->ns, remote_->address, kBytes)); // the fast path does not pass FORWARD
}

TEST_F(Masquerade, AnOperatorsAcceptBeforeOursExempts) {
    WEFT_ASSERT_OK(node_->netns().run(
        fmt::format("iptables-nft -t nat -A POSTROUTING -s 10.244.0.0/16 -d {} -j ACCEPT", Cluster::kWorld)));
    ASSERT_NO_FATAL_FAILURE(bring_up(Host::nftables));
    ASSERT_EQ(rules_in_use(), "iptables-nft");
    route_world_to(*pod_, "192.0.2.1");
    EXPECT_EQ(seen_from(pod_->ns, Cluster::kWorld), pod_->address);
}

} // namespace
} // namespace weft::test
