// SPDX-License-Identifier: Apache-2.0
#include <random>

#include "reconcile_fixture.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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

TEST_F(ReconcileTest, NextHopsAreLookedUpOnceUntilRoutesChange) {
    bring_up();
    EXPECT_EQ(kernel.resolved, 1);
    apply(1s);
    EXPECT_EQ(kernel.resolved, 1);
    r.forget_next_hops();
    EXPECT_THAT(apply(2s), IsEmpty()) << "the same answer changes nothing";
    EXPECT_EQ(kernel.resolved, 2);
}

TEST_F(ReconcileTest, ANodesMacIsKeptAsSoonAsTheKernelLearnsIt) {
    const Mac its = *parse_mac("02:00:00:00:00:09"), another = *parse_mac("02:00:00:00:00:0a");
    const auto link_mac = [&] { return kernel.maps.leases.at(net4("10.244.7.0/24")).link_mac; };
    bring_up();
    EXPECT_FALSE(r.set_neighbour(2, ip("192.168.1.9"), its)) << "nothing comes without a tunnel";
    NetConf conf;
    conf.network = net4("10.244.0.0/16");
    conf.subnet_len = 24;
    r.set_config(conf, {.direct_routing = true});
    apply(1s);
    EXPECT_EQ(abi::mac(link_mac()), Mac{});
    EXPECT_FALSE(r.set_neighbour(2, ip("192.168.1.10"), its)) << "nobody's";
    EXPECT_FALSE(r.set_neighbour(3, ip("192.168.1.9"), its)) << "not on that link";
    EXPECT_TRUE(r.set_neighbour(2, ip("192.168.1.9"), its));
    EXPECT_THAT(apply(2s), ElementsAre("+ lease 10.244.7.0/24"));
    EXPECT_EQ(abi::mac(link_mac()), its);
    EXPECT_FALSE(r.set_neighbour(2, ip("192.168.1.9"), its)) << "known";
    EXPECT_TRUE(r.set_neighbour(2, ip("192.168.1.9"), another));
    EXPECT_THAT(apply(3s), ElementsAre("+ lease 10.244.7.0/24"));
    EXPECT_EQ(abi::mac(link_mac()), another);
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
