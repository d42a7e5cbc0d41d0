// SPDX-License-Identifier: Apache-2.0
// An etcd of three members with TLS loses one after the other; nobody's lease is touched, and what changes meanwhile arrives.
#include <csignal>

#include <fmt/format.h>

#include "node.hpp"
#include "tls.hpp"

namespace weft::test {
namespace {

class ThreeMembers : public Tls {
protected:
    void SetUp() override {
        Tls::SetUp();
        std::string all;
        std::vector<std::string> peers;
        for (int i = 0; i < 3; ++i) {
            const auto port = free_port("127.0.0.1");
            ASSERT_TRUE(port);
            peers.push_back(fmt::format("http://127.0.0.1:{}", *port));
            all += fmt::format("{}m{}={}", all.empty() ? "" : ",", i, peers.back());
        }
        for (int i = 0; i < 3; ++i) {
            auto options = server(true);
            options.wait = false;
            const auto &peer = peers[static_cast<std::size_t>(i)];
            options.extra_args.insert(options.extra_args.end(),
                                      {fmt::format("--name=m{}", i), "--listen-peer-urls=" + peer,
                                       "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + all,
                                       "--heartbeat-interval=50", "--election-timeout=500"});
            auto member = EtcdServer::start(options);
            ASSERT_TRUE(member) << member.error().sentence();
            members_.push_back(std::move(*member));
        }
        for (auto &member : members_) ASSERT_TRUE(member.wait_until_serving());
        ASSERT_TRUE(members_[0].put(kConfigKey, kConfig));
        auto client = options_for(members_[0].endpoint());
        client.endpoints = {members_[0].endpoint(), members_[1].endpoint(), members_[2].endpoint()};
        client.cafile = file("ca.pem");
        client.certfile = file("client.pem");
        client.keyfile = file("client.key");
        node_.emplace(client, "192.0.2.1");
        node_->join(*parse_subnet_key("10.5.200.0-24"));
        ASSERT_TRUE(node_->wait_for("snapshot")) << node_->describe();
    }
    std::size_t leader() {
        for (std::size_t i = 0; i < members_.size(); ++i) {
            const auto said = members_[i].ctl({"endpoint", "status", "--write-out=json"});
            const auto status = said ? nlohmann::json::parse(*said, nullptr, false) : nlohmann::json();
            if (status.is_array() && status[0]["Status"]["leader"] == status[0]["Status"]["header"]["member_id"])
                return i;
        }
        return members_.size();
    }
    /// A lease that is put by way of `member` arrives.
    void expect_news(EtcdServer &member) {
        const auto number = ++news_;
        const auto subnet = fmt::format("10.5.{}.0", number);
        ASSERT_TRUE(wait_until(
            [&] {
                return member
                    .put(fmt::format("{}{}-24", kSubnets, subnet), vxlan_value(fmt::format("192.0.2.{}", number)))
                    .has_value();
            },
            20s));
        EXPECT_TRUE(wait_until([&] { return node_->peers().contains(subnet + "/24"); }, 20s)) << node_->describe();
    }

    std::vector<EtcdServer> members_;
    std::optional<Node> node_;
    int news_ = 10;
};

TEST_F(ThreeMembers, LoseEachInTurnAndTheLeader) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
        ASSERT_TRUE(members_[i].kill());
        expect_news(members_[(i + 1) % 3]);
        ASSERT_TRUE(members_[i].restart());
        ASSERT_TRUE(members_[i].wait_until_serving());
    }
    const auto led = leader();
    ASSERT_LT(led, members_.size());
    ASSERT_TRUE(members_[led].process()->signal(SIGSTOP)); // it neither answers nor closes
    expect_news(members_[(led + 1) % 3]);
    ASSERT_TRUE(members_[led].process()->signal(SIGCONT));
    expect_news(members_[led]);
    EXPECT_EQ(node_->own(), "10.5.200.0/24");
    EXPECT_EQ(node_->count("removed"), 0U) << node_->describe();
    EXPECT_EQ(node_->count("lost"), 0U) << node_->describe();
    EXPECT_EQ(node_->count("acquired"), 1U) << node_->describe();
}

TEST_F(ThreeMembers, WithoutAMajorityNothingIsDeleted) {
    expect_news(members_[0]);
    const auto peers = node_->peers();
    ASSERT_TRUE(members_[0].kill());
    ASSERT_TRUE(members_[1].kill());
    ASSERT_TRUE(node_->wait_for("leases as last seen stay in use", 1, 30s)) << node_->describe();
    EXPECT_EQ(node_->peers(), peers);
    for (const int i : {0, 1}) ASSERT_TRUE(members_[static_cast<std::size_t>(i)].restart());
    for (const int i : {0, 1}) ASSERT_TRUE(members_[static_cast<std::size_t>(i)].wait_until_serving());
    expect_news(members_[2]);
    EXPECT_EQ(node_->count("removed"), 0U) << node_->describe();
    EXPECT_EQ(node_->own(), "10.5.200.0/24");
}

} // namespace
} // namespace weft::test
