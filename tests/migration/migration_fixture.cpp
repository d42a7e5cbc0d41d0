// SPDX-License-Identifier: Apache-2.0
#include "migration_fixture.hpp"

#include <gmock/gmock.h>

#include <filesystem>

namespace weft::test {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kMiB = 1024 * 1024;

void Migration::SetUp() {
    for (const char *name : {"bridge", "host-local"})
        if (!std::filesystem::exists(fmt::format("{}/{}", kPluginDir, name)))
            GTEST_SKIP() << "no " << kPluginDir << "/" << name << " (containernetworking-plugins)";
    ClusterTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WEFT_ASSERT_ASSIGN(weft_, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(flannel_, cluster_->add_flannel_node(GetParam().backend));
    WEFT_ASSERT_ASSIGN(other_flannel_, cluster_->add_flannel_node(GetParam().backend));
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(at_weft_, weft_->add_pod());
    WEFT_ASSERT_ASSIGN(at_flannel_, other_flannel_->add_pod());
    WEFT_ASSERT_ASSIGN(moved_, cluster_->add_stopped_weft_on(*flannel_));
    const auto conf = json::parse(moved_->cni_config());
    json ranges; // one address of each family
    for (const auto &family : flannel_->families())
        ranges.push_back(json::array({{{"subnet", family.subnet.canonical().to_string()}}}));
    bridge_.emplace(
        *moved_,
        std::vector<json>{{{"type", "bridge"},
                           {"bridge", "cni0"},
                           {"isDefaultGateway", true},
                           {"hairpinMode", true},
                           {"mtu", GetParam().mtu()},
                           {"ipam", {{"type", "host-local"}, {"ranges", ranges}, {"dataDir", conf["dataDir"]}}}}});
    WEFT_ASSERT_ASSIGN(old_, bridge_->add_pod("old"));
    WEFT_ASSERT_ASSIGN(old_too_, bridge_->add_pod("old2"));
}

std::string Migration::sh(std::string_view line) const {
    const auto out = host().run({"sh", "-c", std::string(line)});
    if (!out) ADD_FAILURE() << out.error().sentence();
    return out.value_or("");
}

std::string Migration::lease() const {
    const auto entries = cluster_->etcd().get_prefix(fmt::format(
        "/coreos.com/network/subnets/{}-", flannel_->families().front().subnet.canonical().address().to_string()));
    return entries && entries->size() == 1 ? entries->begin()->second : "";
}

bool Migration::is_synced() const {
    const auto status = moved_->weftctl("status");
    return status && status->contains("daemon") && (*status)["daemon"].is_object() &&
           (*status)["daemon"].value("state", "") == "synced";
}

void Migration::expect_reach(const Pod &a, const Pod &b) {
    for (const auto &[from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
        SCOPED_TRACE(fmt::format("{} to {}", from->address, to->address));
        WEFT_EXPECT_OK(ping(from->ns, to->address, 2));
        WEFT_EXPECT_OK(udp_echo(from->ns, to->address, {64, 4000}));
        WEFT_ASSERT_ASSIGN(const auto sent, tcp_transfer(from->ns, to->address, kMiB));
        EXPECT_EQ(sent.seen_as, from->address);
    }
}

void Migration::expect_world(const Pod &pod) {
    SCOPED_TRACE(fmt::format("{} to the world", pod.address));
    WEFT_ASSERT_ASSIGN(const auto sent, tcp_transfer(pod.ns, Cluster::kWorld, kMiB));
    EXPECT_NE(sent.seen_as, pod.address) << "not masqueraded";
}

void Migration::expect_everybody_reaches_everybody() {
    const std::array<const Pod *, 4> pods{old_, old_too_, at_weft_, at_flannel_};
    for (std::size_t a = 0; a < pods.size(); ++a)
        for (std::size_t b = a + 1; b < pods.size(); ++b) expect_reach(*pods[a], *pods[b]);
    for (const auto *pod : {old_, old_too_}) {
        expect_world(*pod);
        WEFT_EXPECT_OK(ping(weft_->netns(), pod->address, 2));
        WEFT_EXPECT_OK(ping(other_flannel_->netns(), pod->address, 2));
        WEFT_EXPECT_OK(ping(host(), pod->address, 2));
    }
    for (const auto *pod : {at_weft_, at_flannel_}) WEFT_EXPECT_OK(ping(host(), pod->address, 2));
}

void Migration::expect_nothing_of_flannels() {
    EXPECT_THAT(sh("ip -br link show"), Not(HasSubstr("flannel")));
    EXPECT_THAT(sh("ip route show; ip -6 route show"), Not(HasSubstr("flannel")));
    EXPECT_THAT(sh("ip route show proto boot root 10.244.0.0/16"), testing::IsEmpty());
    for (const char *list : {"iptables-save", "ip6tables-save", "nft list ruleset"}) {
        const auto rules = sh(list);
        EXPECT_THAT(rules, Not(testing::AnyOf(HasSubstr("FLANNEL"), HasSubstr("flannel")))) << list;
    }
}

} // namespace weft::test
