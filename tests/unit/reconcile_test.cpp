// SPDX-License-Identifier: Apache-2.0
#include "daemon/reconcile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <random>
#include <sstream>

#include "fake_kernel.hpp"
#include "net/sysctl.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Ip4 ip(const char *text) { return *parse_ip4(text); }
Net4 net4(const char *text) { return *parse_net4(text); }
Subnet subnet(const char *text) { return {net4(text), std::nullopt}; }

Uplink uplink() {
    return {.ifindex = 2,
            .name = "eth0",
            .mtu = 1500,
            .v4 = UplinkAddress<Ip4>{ip("192.168.1.5"), ip("192.168.1.5")},
            .v6 = std::nullopt};
}

LeasePtr lease(const char *net, const char *public_ip) {
    return std::make_shared<const Lease>(subnet(net), LeaseAttrs{.public_ip = ip(public_ip),
                                                                 .backend_type = "vxlan",
                                                                 .backend_data = {{"VtepMAC", "1e:3a:76:11:44:7f"}}});
}

class ReconcileTest : public ::testing::Test {
protected:
    ReconcileTest() { r.set_uplink(uplink()); }
    void configure() {
        NetConf conf;
        conf.network = net4("10.244.0.0/16");
        conf.subnet_len = 24;
        r.set_config(conf, {});
    }
    void acquire(const char *net = "10.244.3.0/24") { r.set_own(subnet(net)); }
    /// What was written by one more apply.
    std::vector<std::string> apply(std::chrono::seconds at = 0s) {
        kernel.log.clear();
        next = r.apply(start + at);
        return kernel.log;
    }
    void bring_up() {
        configure();
        acquire();
        r.set_leases({lease("10.244.7.0/24", "192.168.1.9")});
        apply();
        ASSERT_EQ(r.state(), NodeState::synced) << said.str();
    }

    const Backoff::TimePoint start{std::chrono::hours(1)};
    std::ostringstream said;
    spdlog::logger log{"test", std::make_shared<spdlog::sinks::ostream_sink_mt>(said)};
    FakeKernel kernel;
    Reconciler r{kernel, log, {}};
    std::optional<Backoff::TimePoint> next;
};

TEST_F(ReconcileTest, WalksThroughItsStates) {
    EXPECT_EQ(r.state(), NodeState::waiting_config);
    EXPECT_THAT(apply(), IsEmpty()) << "without configuration nothing is touched";
    configure();
    EXPECT_EQ(r.state(), NodeState::acquiring);
    EXPECT_THAT(apply(), IsEmpty());
    acquire();
    EXPECT_EQ(r.state(), NodeState::syncing);
    apply();
    EXPECT_EQ(r.state(), NodeState::syncing) << "the others' leases are not known yet";
    EXPECT_FALSE(r.ready());
    r.set_leases({});
    apply();
    EXPECT_EQ(r.state(), NodeState::synced);
    EXPECT_TRUE(r.ready());
}

TEST_F(ReconcileTest, WritesInTheOrderOfDependence) {
    configure();
    acquire();
    r.set_leases({lease("10.244.7.0/24", "192.168.1.9")});
    EXPECT_THAT(apply(),
                ElementsAre("+ sysctl net/ipv4/conf/eth0/arp_notify", "+ sysctl net/ipv4/ip_forward", "+ device weft.1",
                            "+ address 10.244.3.0/32", "+ address 10.244.3.1/32", "+ neighbour 169.254.1.1",
                            HasSubstr("+ route 10.244.0.0/16"), HasSubstr("+ route unreachable"), "load",
                            "+ prefix lengths", "+ node 192.168.1.9", "+ lease 10.244.7.0/24", "attach"));
}

TEST_F(ReconcileTest, ASecondApplyWritesNothing) {
    bring_up();
    EXPECT_THAT(apply(1s), IsEmpty());
    r.check_attachments();
    EXPECT_THAT(apply(2s), ElementsAre("attach"));
    EXPECT_EQ(kernel.loads, 1);
}

TEST_F(ReconcileTest, NothingIsRemovedOrAttachedBeforeTheFirstSnapshot) {
    bring_up();
    const auto before = kernel.maps.leases.size();
    Reconciler restarted(kernel, log, {});
    restarted.set_uplink(uplink());
    NetConf conf;
    conf.network = net4("10.244.0.0/16");
    conf.subnet_len = 24;
    restarted.set_config(conf, {});
    restarted.set_own(subnet("10.244.4.0/24")); // another subnet: old address and route are to go
    kernel.log.clear();
    restarted.apply(start);
    EXPECT_EQ(kernel.maps.leases.size(), before);
    for (const auto &line : kernel.log) EXPECT_NE(line.front(), '-') << line;
    EXPECT_THAT(kernel.log, Not(Contains("attach")));
    EXPECT_TRUE(kernel.host.addresses.contains(net4("10.244.3.0/32")));

    restarted.set_leases({});
    restarted.apply(start + 1s);
    EXPECT_TRUE(kernel.maps.leases.empty());
    EXPECT_FALSE(kernel.host.addresses.contains(net4("10.244.3.0/32")));
    EXPECT_EQ(restarted.state(), NodeState::synced);
}

TEST_F(ReconcileTest, ARestartThatFindsEverythingChangesNothing) {
    bring_up();
    Reconciler restarted(kernel, log, {});
    restarted.set_uplink(uplink());
    NetConf conf;
    conf.network = net4("10.244.0.0/16");
    conf.subnet_len = 24;
    restarted.set_config(conf, {});
    restarted.set_own(subnet("10.244.3.0/24"));
    restarted.set_leases({lease("10.244.7.0/24", "192.168.1.9")});
    kernel.log.clear();
    restarted.apply(start);
    EXPECT_THAT(kernel.log, ElementsAre("attach"));
}

TEST_F(ReconcileTest, LeasesComeChangeAndGo) {
    bring_up();
    r.put_lease(lease("10.244.8.0/24", "192.168.1.10"));
    EXPECT_THAT(apply(1s), ElementsAre("+ node 192.168.1.10", "+ lease 10.244.8.0/24"));
    r.put_lease(lease("10.244.8.0/24", "192.168.1.11"));
    EXPECT_THAT(apply(2s), ElementsAre("+ node 192.168.1.11", "+ lease 10.244.8.0/24", "- node 192.168.1.10"));
    r.remove_lease(subnet("10.244.8.0/24"));
    EXPECT_THAT(apply(3s), ElementsAre("- lease 10.244.8.0/24", "- node 192.168.1.11"));
    r.set_leases({lease("10.244.9.0/24", "192.168.1.9")});
    EXPECT_THAT(apply(4s), ElementsAre("+ node 192.168.1.9", "+ lease 10.244.9.0/24", "- lease 10.244.7.0/24"))
        << "one snapshot replaces all";
}

TEST_F(ReconcileTest, OneLeasesChangeLooksAtItsPartOfTheMapsOnly) {
    bring_up();
    const int before = kernel.whole_reads;
    r.put_lease(lease("10.244.8.0/24", "192.168.1.9")); // of a node that has one already
    EXPECT_THAT(apply(1s), ElementsAre("+ node 192.168.1.9", "+ lease 10.244.8.0/24"));
    EXPECT_EQ(kernel.maps.nodes.at(ip("192.168.1.9")).leases, 2U);
    EXPECT_NE(kernel.maps.leases.at(net4("10.244.7.0/24")).stats_index,
              kernel.maps.leases.at(net4("10.244.8.0/24")).stats_index);
    r.put_lease(lease("10.244.9.0/26", "192.168.1.10"));
    EXPECT_THAT(apply(2s), ElementsAre("+ prefix lengths", "+ node 192.168.1.10", "+ lease 10.244.9.0/26"));
    r.remove_lease(subnet("10.244.9.0/26"));
    EXPECT_THAT(apply(3s), ElementsAre("- lease 10.244.9.0/26", "- node 192.168.1.10", "+ prefix lengths"));
    EXPECT_EQ(kernel.whole_reads, before);
    EXPECT_EQ(r.programmed(), 2U);

    kernel.maps.leases.erase(net4("10.244.7.0/24"));
    EXPECT_THAT(apply(4s), IsEmpty());
    r.check_maps();
    EXPECT_THAT(apply(5s), ElementsAre("+ lease 10.244.7.0/24")) << "what nobody tells of waits for an audit";
}

/// Nodes with one subnet or several, with one family or both, whose subnets collide with each other's and with ours, or that
/// speak something else.
TEST_F(ReconcileTest, AfterAnyChangesAnAuditFindsNothingToDo) {
    NetConf conf;
    conf.network = net4("10.244.0.0/16");
    conf.enable_ipv6 = true;
    conf.ipv6_network = *parse_net6("fd00:244::/48");
    r.set_config(conf, {});
    auto both = uplink();
    both.v6 = {*parse_ip6("2001:db8::5"), *parse_ip6("2001:db8::5")};
    r.set_uplink(both);
    r.set_own({net4("10.244.3.0/24"), *parse_net6("fd00:244:0:3::/64")});
    r.set_leases({});
    kernel.unreachable = {"192.168.1.12"};
    apply();
    std::minstd_rand random(1);
    const auto any = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    std::vector<Subnet> there;
    for (int step = 0; step < 1000; ++step) {
        for (unsigned changes = 1 + any(3); changes > 0; --changes) {
            Lease lease;
            const auto part = [&] { return std::to_string(1 + any(5)); };
            if (any(4) > 0) lease.subnet.v4 = net4(("10.244." + part() + (any(6) > 0 ? ".0/24" : ".0/25")).c_str());
            if (!lease.subnet.v4 || any(2) > 0) lease.subnet.v6 = *parse_net6("fd00:244:0:" + part() + "::/64");
            if (any(3) == 0) {
                r.remove_lease(there.empty() || any(2) == 0 ? lease.subnet : there[any(there.size())]);
                continue;
            }
            const auto node = std::to_string(9 + any(5));
            if (any(5) > 0) lease.attrs.public_ip = ip(("192.168.1." + node).c_str());
            if (any(2) > 0) lease.attrs.public_ipv6 = *parse_ip6("2001:db8::" + node);
            lease.attrs.backend_type = any(8) > 0 ? "vxlan" : "host-gw";
            lease.attrs.backend_data = {{"VtepMAC", "1e:3a:76:11:44:7f"}};
            there.push_back(lease.subnet);
            r.put_lease(std::make_shared<const Lease>(lease));
        }
        const int whole = kernel.whole_reads;
        apply();
        ASSERT_EQ(kernel.whole_reads, whole) << "step " << step;
        const auto maps = kernel.maps;
        const auto unusable = r.unusable();
        const auto programmed = r.programmed();
        r.check_maps();
        ASSERT_THAT(apply(), IsEmpty()) << "step " << step;
        ASSERT_EQ(r.unusable(), unusable) << "step " << step;
        ASSERT_EQ(r.programmed(), programmed) << "step " << step;
        ASSERT_EQ(kernel.maps.leases.size(), programmed);
    }
}

TEST_F(ReconcileTest, ManyWritesGoTogetherAndOneByOneWhereThatFails) {
    configure();
    acquire();
    std::vector<LeasePtr> leases;
    for (int i = 10; i < 110; ++i) {
        const auto text = std::to_string(i);
        leases.push_back(lease(("10.244." + text + ".0/24").c_str(), ("192.168.1." + text).c_str()));
    }
    r.set_leases(leases);
    kernel.refuses = {"lease 10.244.50.0/24"};
    apply();
    EXPECT_EQ(kernel.bulks, 1);
    EXPECT_EQ(kernel.maps.leases.size(), 99U);
    EXPECT_EQ(r.failures().size(), 1U);
    EXPECT_TRUE(r.failures().contains("lease 10.244.50.0/24"));
    kernel.refuses.clear();
    EXPECT_THAT(apply(10s), ElementsAre("+ lease 10.244.50.0/24"));

    kernel.maps = {};
    r.check_maps();
    apply(20s);
    EXPECT_EQ(kernel.bulks, 2);
    EXPECT_EQ(kernel.maps.leases.size(), 100U);
    EXPECT_EQ(r.state(), NodeState::synced);

    kernel.maps = {};
    kernel.forgets = {"lease 10.244.60.0/24"};
    r.check_maps();
    apply(30s);
    EXPECT_THAT(r.failures().at("lease 10.244.60.0/24").sentence, HasSubstr("does not have it"));
    EXPECT_EQ(r.state(), NodeState::syncing);
}

TEST_F(ReconcileTest, OneThatFailsHoldsNobodyUpAndIsTriedAgainLater) {
    bring_up();
    kernel.refuses = {"lease 10.244.8.0/24"};
    r.put_lease(lease("10.244.8.0/24", "192.168.1.10"));
    r.put_lease(lease("10.244.9.0/24", "192.168.1.11"));
    EXPECT_THAT(apply(10s), Contains("+ lease 10.244.9.0/24"));
    EXPECT_EQ(r.state(), NodeState::syncing);
    EXPECT_TRUE(r.ready()) << "pods can still be wired";
    EXPECT_EQ(next, start + 11s);
    ASSERT_EQ(r.failures().size(), 1U);
    EXPECT_EQ(r.failures().begin()->first, "lease 10.244.8.0/24");

    EXPECT_THAT(apply(10s), IsEmpty()) << "not due yet";
    apply(11s);
    EXPECT_EQ(next, start + 13s) << "the pause doubles";
    kernel.refuses.clear();
    EXPECT_THAT(apply(13s), ElementsAre("+ lease 10.244.8.0/24"));
    EXPECT_EQ(r.state(), NodeState::synced);
    EXPECT_EQ(next, std::nullopt);
}

TEST_F(ReconcileTest, AFailureIsSaidOnceAMinute) {
    bring_up();
    kernel.refuses = {"lease 10.244.8.0/24"};
    r.put_lease(lease("10.244.8.0/24", "192.168.1.10"));
    const auto times_said = [&] {
        std::size_t count = 0;
        const auto text = said.str();
        for (std::size_t at = 0; (at = text.find("refused", at)) != std::string::npos; ++at) ++count;
        return count;
    };
    for (int second = 0; second < 59; ++second) apply(std::chrono::seconds(second));
    EXPECT_EQ(times_said(), 1U);
    for (int second = 59; second < 120; ++second) apply(std::chrono::seconds(second));
    EXPECT_EQ(times_said(), 2U);
}

TEST_F(ReconcileTest, AFailureOfSomethingNoLongerWantedIsForgotten) {
    bring_up();
    kernel.refuses = {"lease 10.244.8.0/24"};
    r.put_lease(lease("10.244.8.0/24", "192.168.1.10"));
    apply(1s);
    r.remove_lease(subnet("10.244.8.0/24"));
    apply(1s);
    EXPECT_EQ(r.state(), NodeState::synced);
}

TEST_F(ReconcileTest, WhatTheKernelTakesButDoesNotKeepIsAFailure) {
    configure();
    acquire();
    r.set_leases({});
    kernel.forgets = {"neighbour 169.254.1.1"};
    const auto log_of_first = apply();
    EXPECT_EQ(std::ranges::count(log_of_first, "+ neighbour 169.254.1.1"), 1);
    EXPECT_THAT(r.failures().at("neighbour 169.254.1.1").sentence, HasSubstr("does not have it"));
}

TEST_F(ReconcileTest, WithoutADeviceThereIsOneComplaint) {
    configure();
    acquire();
    r.set_leases({});
    kernel.refuses = {"device weft.1"};
    EXPECT_THAT(apply(), ElementsAre("+ sysctl net/ipv4/conf/eth0/arp_notify", "+ sysctl net/ipv4/ip_forward"));
    EXPECT_EQ(r.failures().size(), 1U);
    EXPECT_FALSE(r.ready());
    kernel.refuses.clear();
    apply(1s);
    EXPECT_EQ(r.state(), NodeState::synced);
}

TEST_F(ReconcileTest, ADeviceMadeAnewGetsEverythingAndALoad) {
    bring_up();
    const int first = kernel.config->vtep_ifindex;
    kernel.host = HostState{.sysctls = kernel.host.sysctls, .vtep_ifindex = kernel.host.vtep_ifindex};
    r.check_host();
    const auto log_of_repair = apply(1s);
    EXPECT_THAT(log_of_repair, Contains("+ device weft.1"));
    EXPECT_THAT(log_of_repair, Contains(HasSubstr("+ route 10.244.0.0/16")));
    EXPECT_THAT(log_of_repair, Contains("load"));
    EXPECT_EQ(log_of_repair.back(), "attach");
    EXPECT_NE(kernel.config->vtep_ifindex, first);
    EXPECT_EQ(r.state(), NodeState::synced);
}

TEST_F(ReconcileTest, AFailedLoadOrAttachIsTriedAgain) {
    configure();
    acquire();
    r.set_leases({lease("10.244.7.0/24", "192.168.1.9")});
    kernel.refuses = {"load"};
    apply();
    EXPECT_FALSE(r.ready());
    EXPECT_TRUE(kernel.maps.leases.empty());
    kernel.refuses = {"attach"};
    apply(1s);
    EXPECT_FALSE(r.ready());
    EXPECT_EQ(kernel.maps.leases.size(), 1U);
    kernel.refuses.clear();
    apply(2s);
    EXPECT_EQ(r.state(), NodeState::synced);
}

TEST_F(ReconcileTest, NextHopsAreLookedUpOnceUntilRoutesChange) {
    bring_up();
    EXPECT_EQ(kernel.resolved, 1);
    apply(1s);
    EXPECT_EQ(kernel.resolved, 1);
    r.forget_next_hops();
    EXPECT_THAT(apply(2s), IsEmpty()) << "the same answer changes nothing";
    EXPECT_EQ(kernel.resolved, 2);
}

TEST_F(ReconcileTest, AnUnreachableNodeIsTriedAgain) {
    bring_up();
    kernel.unreachable = {"192.168.1.10"};
    r.put_lease(lease("10.244.8.0/24", "192.168.1.10"));
    apply(1s);
    EXPECT_EQ(kernel.maps.leases.at(net4("10.244.8.0/24")).encap, WEFT_ENCAP_NONE);
    EXPECT_TRUE(r.failures().contains("next hop 192.168.1.10"));
    kernel.unreachable.clear();
    EXPECT_THAT(apply(2s), ElementsAre("+ lease 10.244.8.0/24"));
    EXPECT_EQ(kernel.maps.leases.at(net4("10.244.8.0/24")).encap, WEFT_ENCAP_VXLAN);
    EXPECT_EQ(r.state(), NodeState::synced);
}

class ReconcileRulesTest : public ReconcileTest {
protected:
    Reconciler masquerading{kernel, log, {.masquerade = true, .forward_rules = true}};
    NetConf conf;

    void SetUp() override {
        masquerading.set_uplink(uplink());
        conf.network = net4("10.244.0.0/16");
        masquerading.set_config(conf, {});
        masquerading.set_own(subnet("10.244.3.0/24"));
    }
};

TEST_F(ReconcileRulesTest, FollowTheSubnetAndComeBack) {
    masquerading.apply(start);
    const FirewallConfig wanted{.ipv4 = PodPrefixes{net4("10.244.0.0/16"), net4("10.244.3.0/24")},
                                .masquerade = true,
                                .random_ports = true,
                                .forward = true,
                                .guard = SocketGuard{.port = 8472, .links = {2}, .addresses = {ip("192.168.1.5")}}};
    EXPECT_EQ(kernel.rules, wanted);
    masquerading.set_own(subnet("10.244.4.0/24"));
    masquerading.apply(start);
    EXPECT_EQ(kernel.rules.ipv4->subnet, net4("10.244.4.0/24"));
    kernel.rules = {};
    masquerading.check_rules();
    masquerading.apply(start);
    EXPECT_TRUE(kernel.rules.masquerade);
    EXPECT_THAT(said.str(), HasSubstr("again, somebody had changed them"));
    configure();
    acquire();
    apply();
    EXPECT_TRUE(kernel.rules.wants_nothing()) << "without the flags what an earlier run left goes";
}

TEST_F(ReconcileRulesTest, EachFamilyThatTheNodeHasGetsThem) {
    conf.enable_ipv6 = true;
    conf.ipv6_network = *parse_net6("fd00:244::/48");
    masquerading.set_config(conf, {});
    masquerading.apply(start);
    EXPECT_FALSE(kernel.rules.ipv6) << "the lease has no IPv6 part yet";
    masquerading.set_own({net4("10.244.3.0/24"), *parse_net6("fd00:244:0:3::/64")});
    masquerading.apply(start);
    const PodPrefixes wanted{*parse_net("fd00:244::/48"), *parse_net("fd00:244:0:3::/64")};
    EXPECT_EQ(kernel.rules.ipv6, wanted);
    EXPECT_TRUE(kernel.rules.ipv4);
}

TEST_F(ReconcileRulesTest, ARefusalHasABackOffOfItsOwn) {
    kernel.refuses = {"rules"};
    masquerading.apply(start);
    EXPECT_TRUE(masquerading.failures().contains("firewall rules"));
    EXPECT_TRUE(kernel.config.has_value()) << "the programs do not wait for rules";
    for (int i = 1; i < 10; ++i) {
        masquerading.check_rules();
        masquerading.apply(start + i * 50ms);
    }
    EXPECT_EQ(kernel.rule_checks, 1) << "a change of rules is no reason to try sooner";
    kernel.refuses.clear();
    masquerading.apply(start + 1s);
    EXPECT_TRUE(kernel.rules.masquerade);
    EXPECT_TRUE(masquerading.failures().empty());
}

TEST_F(ReconcileRulesTest, TheConfigurationCanAskForNftablesWhereNoFlagDecides) {
    conf.enable_nftables = true;
    masquerading.set_config(conf, {});
    masquerading.apply(start);
    EXPECT_EQ(kernel.choice, FirewallChoice::nftables);
    Reconciler told(kernel, log, {.masquerade = true, .firewall = FirewallChoice::iptables});
    told.set_uplink(uplink());
    told.set_config(conf, {});
    told.set_own(subnet("10.244.3.0/24"));
    told.apply(start);
    EXPECT_EQ(kernel.choice, FirewallChoice::iptables);
}

TEST_F(ReconcileRulesTest, AComplaintIsSaidOnce) {
    kernel.complaint = "iptables is not installed";
    for (int i = 0; i < 3; ++i) {
        masquerading.check_rules();
        masquerading.apply(start + i * 1s);
    }
    const auto text = said.str();
    const auto first = text.find(kernel.complaint);
    EXPECT_NE(first, text.npos);
    EXPECT_EQ(first, text.rfind(kernel.complaint));
}

TEST_F(ReconcileTest, AForeignBackendIsReportedOnce) {
    bring_up();
    auto foreign = *lease("10.244.8.0/24", "192.168.1.10");
    foreign.attrs.backend_type = "host-gw";
    kernel.unreachable = {"192.168.1.10"}; // nobody asks
    r.put_lease(std::make_shared<const Lease>(foreign));
    apply(1s);
    apply(2s);
    const auto text = said.str();
    EXPECT_EQ(text.find("host-gw"), text.rfind("host-gw"));
    EXPECT_NE(text.find("host-gw"), std::string::npos);
    EXPECT_EQ(r.unusable().size(), 1U);
    EXPECT_EQ(r.state(), NodeState::synced) << "a lease of another kind is nobody's failure";
}

TEST_F(ReconcileTest, WhatOtherPluginsDidToAPodIsCarriedIntoItsEndpoint) {
    weft_endpoint plain{};
    plain.ifindex = 9;
    plain.pod_mac = abi::mac(*parse_mac("02:00:00:00:00:01"));
    weft_endpoint declared = plain;
    declared.flags = WEFT_EP_STACK;
    kernel.pods = {
        {.address = ip("10.244.3.2"), .endpoint = plain, .shaped = true, .mac_seen = {}},
        {.address = ip("10.244.3.3"), .endpoint = declared, .mac_seen = parse_mac("02:00:00:00:00:09").value()},
        {.address = ip("10.244.3.4"), .endpoint = plain, .mac_seen = abi::mac(plain.pod_mac)}};
    bring_up();
    EXPECT_EQ(kernel.pods[0].endpoint.flags, static_cast<unsigned>(WEFT_EP_SHAPED));
    EXPECT_EQ(abi::mac(kernel.pods[1].endpoint.pod_mac), abi::mac(plain.pod_mac)) << "the programs know it better";
    EXPECT_EQ(kernel.pods[1].endpoint.flags, static_cast<unsigned>(WEFT_EP_STACK)) << "the plugin's own flag stays";

    kernel.pods[0].shaped = false;
    EXPECT_THAT(apply(1s), IsEmpty()) << "nobody said that anything changed";
    r.check_pods();
    EXPECT_THAT(apply(2s), ElementsAre("+ pod 10.244.3.2"));
    EXPECT_EQ(kernel.pods[0].endpoint.flags, 0U);
}

TEST_F(ReconcileTest, APodsRouteIsPutBackWithTheGatewayAsItsSource) {
    weft_endpoint endpoint{};
    endpoint.ifindex = 9;
    kernel.pods = {{.address = ip("10.244.3.2"), .endpoint = endpoint, .mac_seen = {}, .cut_off = true},
                   {.address = ip("192.0.2.77"), .endpoint = endpoint, .mac_seen = {}, .cut_off = true},
                   {.address = ip("10.244.3.4"), .endpoint = endpoint, .mac_seen = {}}};
    bring_up();
    EXPECT_THAT(kernel.pod_sources, ElementsAre("10.244.3.1", "")) << "of another IPAM's address the kernel chooses";
    r.check_pods();
    EXPECT_THAT(apply(1s), IsEmpty());
}

} // namespace
} // namespace weft
