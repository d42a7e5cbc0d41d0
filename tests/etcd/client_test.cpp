// SPDX-License-Identifier: Apache-2.0
#include "etcd/client.hpp"

#include "node.hpp"
#include "tls.hpp"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(JoinKey, PutsSlashesRightAndAddsNone) {
    EXPECT_EQ(etcd::join_key("/coreos.com/network", "config"), "/coreos.com/network/config");
    EXPECT_EQ(etcd::join_key("/coreos.com//network/", "config"), "/coreos.com/network/config");
    EXPECT_EQ(etcd::join_key("net", "subnets"), "net/subnets");
    EXPECT_EQ(etcd::join_key("//net", "subnets"), "/net/subnets");
    EXPECT_EQ(etcd::join_key("", "config"), "config");
}

TEST(Client, RefusesEndpointsItCannotUse) {
    for (const char *url :
         {"ftp://127.0.0.1:2379", "http://127.0.0.1", "127.0.0.1", "http://:2379", "http://a:2379/x", ""}) {
        const auto client = etcd::Client::create(options_for(url));
        ASSERT_FALSE(client) << url;
        EXPECT_THAT(client.error().sentence(), HasSubstr("\"" + std::string(url) + "\""));
    }
    auto options = options_for("https://127.0.0.1:2379");
    options.cafile = "/nonexistent/ca.pem";
    EXPECT_THAT(etcd::Client::create(options).error().sentence(), HasSubstr("/nonexistent/ca.pem"));
    options = options_for("https://127.0.0.1:2379");
    options.certfile = "/tmp/cert.pem";
    EXPECT_THAT(etcd::Client::create(options).error().sentence(), HasSubstr("keyfile"));
}

TEST(Client, ComparesBeforeItWrites) {
    ASSERT_ETCD(etcd, );
    auto client = etcd::Client::create(options_for(etcd));
    ASSERT_TRUE(client);
    const auto put_at = [&](std::int64_t revision, const char *value) {
        return client->commit({}, {.at = {{"/k", revision}}, .unwritten = {}, .deletes = {}, .puts = {{"/k", value}}});
    };
    const auto created = put_at(0, "1");
    ASSERT_TRUE(created && *created);
    EXPECT_FALSE(**created == 0);
    EXPECT_FALSE(put_at(0, "2")->has_value());
    EXPECT_FALSE(put_at(**created + 1, "2")->has_value());
    const auto updated = put_at(**created, "2");
    ASSERT_TRUE(updated && *updated);
    EXPECT_EQ((*client->get({}, "/k"))->value, "2");
    EXPECT_THAT(client->revoke({}, 12345).error().sentence(),
                AllOf(HasSubstr(etcd.endpoint()), HasSubstr("LeaseRevoke")));
}

TEST(Client, GoesOnToTheNextEndpoint) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    const auto dead = "http://127.0.0.1:" + std::to_string(*free_port("127.0.0.1"));
    auto options = options_for(etcd);
    options.endpoints.insert(options.endpoints.begin(), dead);
    Node node(options, "192.0.2.1");
    node.join();
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    ASSERT_TRUE(etcd.put(std::string(kSubnets) + "10.5.1.0-24", vxlan_value("192.0.2.9")));
    EXPECT_TRUE(node.wait_peers({{"10.5.1.0/24", "192.0.2.9"}})) << node.describe();
    EXPECT_EQ(node.count("status"), 0u) << "nothing to complain about\n" << node.describe();
}

TEST(Client, NamesEveryEndpointThatFailed) {
    const auto a = "http://127.0.0.1:" + std::to_string(*free_port("127.0.0.1"));
    const auto b = "http://127.0.0.1:" + std::to_string(*free_port("127.0.0.1"));
    auto options = options_for(a);
    options.endpoints.push_back(b);
    const auto got = etcd::Client::create(options)->get({}, "/k");
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().sentence(), AllOf(HasSubstr(a + " Range"), HasSubstr(b + " Range"), HasSubstr("/k")));
    EXPECT_EQ(got.error().code(), ECONNREFUSED);
}

TEST_F(Tls, CaAlone) {
    ASSERT_ETCD(etcd, server(false));
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    auto options = options_for(etcd);
    options.cafile = file("ca.pem");
    Node node(options, "192.0.2.1");
    node.join();
    EXPECT_TRUE(node.wait_for("snapshot")) << node.describe();
}

TEST_F(Tls, ServerOfAnUnknownCaIsRefused) {
    ASSERT_ETCD(etcd, server(false));
    const auto got = etcd::Client::create(options_for(etcd))->get({}, "/k");
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().sentence(), HasSubstr(etcd.endpoint()));
}

TEST_F(Tls, Mutual) {
    ASSERT_ETCD(etcd, server(true));
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    auto options = options_for(etcd);
    options.cafile = file("ca.pem");
    EXPECT_FALSE(etcd::Client::create(options)->get({}, "/k")) << "without a certificate";
    options.certfile = file("client.pem");
    options.keyfile = file("client.key");
    Node node(options, "192.0.2.1");
    node.join();
    EXPECT_TRUE(node.wait_for("snapshot")) << node.describe();
}

class Auth : public ::testing::Test {
protected:
    void SetUp() override {
        auto etcd = EtcdServer::start({.extra_args = {"--auth-token-ttl=2"}, .ctl_args = {"--user=root:r"}});
        ASSERT_TRUE(etcd) << etcd.error().sentence();
        etcd_.emplace(std::move(*etcd));
    }
    /// "/coreos.com/network" for user weft, password "secret"; everything for root, password "r".
    void enable() {
        for (const char *command : {"user add root:r", "user add weft:secret", "role add net",
                                    "role grant-permission net readwrite --prefix=true /coreos.com/network",
                                    "user grant-role weft net", "auth enable"}) {
            // before "auth enable" a --user makes etcdctl authenticate, which etcd then refuses
            auto argv = words("etcdctl --endpoints=" + etcd_->endpoint() + " " + command);
            const auto done = run_ok(std::move(argv), {.env = {"ETCDCTL_API=3"}});
            ASSERT_TRUE(done) << done.error().sentence();
        }
    }
    weft::EtcdOptions user(const std::string &password) {
        auto options = options_for(*etcd_);
        options.username = "weft";
        options.password = password;
        return options;
    }
    std::optional<EtcdServer> etcd_;
};

TEST_F(Auth, TokenIsFetchedAndFetchedAgainWhenItHasExpired) {
    enable();
    ASSERT_TRUE(etcd_->put(kConfigKey, kConfig));
    auto client = etcd::Client::create(user("secret"));
    ASSERT_TRUE(client);
    ASSERT_TRUE(client->get({}, kConfigKey));
    // etcd forgets its tokens with a restart: the same as their expiry, and sooner
    ASSERT_TRUE(etcd_->restart());
    const auto again = client->get({}, kConfigKey);
    ASSERT_TRUE(again) << again.error().sentence();
    EXPECT_TRUE(again->has_value());
    EXPECT_EQ(client->get({}, "/elsewhere").error().code(), EACCES);
}

TEST_F(Auth, NodeLeasesAndWatchesAcrossARestart) {
    enable();
    ASSERT_TRUE(etcd_->put(kConfigKey, kConfig));
    Node node(user("secret"), "192.0.2.1");
    node.join();
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    ASSERT_TRUE(etcd_->restart());
    ASSERT_TRUE(etcd_->put(std::string(kSubnets) + "10.5.1.0-24", vxlan_value("192.0.2.9")));
    EXPECT_TRUE(node.wait_peers({{"10.5.1.0/24", "192.0.2.9"}}, 15s)) << node.describe();
}

TEST_F(Auth, WrongPasswordIsSaidWithTheUserButNotThePassword) {
    enable();
    const auto got = etcd::Client::create(user("wrong"))->get({}, kConfigKey);
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().sentence(), AllOf(HasSubstr("\"weft\""), HasSubstr("authentication failed")));
    EXPECT_THAT(got.error().sentence(), ::testing::Not(HasSubstr("wrong")));
}

TEST_F(Auth, UserNameWhereAuthenticationIsOff) { EXPECT_TRUE(etcd::Client::create(user("secret"))->get({}, "/k")); }

} // namespace
} // namespace weft::test
