// SPDX-License-Identifier: Apache-2.0
// What the reconciler does about what the kernel refuses.
#include <random>

#include "reconcile_fixture.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(ReconcileTest, WhateverFailedInWhateverOrderNothingIsFailingOnceNothingFails) {
    Reconciler all{kernel, log, {.masquerade = true, .forward_rules = true}};
    std::minstd_rand random(1);
    const auto any = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    const auto some_uplink = [&] {
        auto some = uplink();
        some.ifindex += static_cast<int>(any(2));
        return some;
    };
    all.set_uplink(uplink());
    NetConf conf;
    conf.network = net4("10.244.0.0/16");
    all.set_config(conf, {});
    all.set_own(subnet("10.244.3.0/24"));
    all.set_leases({});
    auto now = start;
    for (int step = 0; step < 3000; ++step) {
        const auto node = "192.168.1." + std::to_string(9 + any(3));
        const auto net = "10.244." + std::to_string(5 + any(4)) + ".0/24";
        switch (any(9)) {
        case 0: kernel.unreachable.insert(node); break;
        case 1: kernel.refuses.insert("lease " + net); break;
        case 2:
            for (const auto *item : {"load", "attach", "rules", "device weft.1", "prefix lengths"})
                if (any(2) == 0) kernel.refuses.insert(item);
            break;
        case 3: all.set_uplink(some_uplink()); break;
        case 4: all.set_own(subnet(any(2) == 0 ? "10.244.3.0/24" : "10.244.4.0/24")); break;
        case 5: all.forget_next_hops(); break;
        case 6: all.remove_lease(subnet(net.c_str())); break;
        default: all.put_lease(lease(net.c_str(), node.c_str()));
        }
        now += any(3) * 500ms;
        const auto again = all.apply(now);
        ASSERT_TRUE(!again || *again > now) << "step " << step << ": it would be called again at once";
        if (step % 20 != 0) continue;
        kernel.unreachable.clear();
        kernel.refuses.clear();
        for (int round = 0; round < 3; ++round) all.apply(now += 61s);
        ASSERT_THAT(all.failures(), IsEmpty()) << "step " << step;
        ASSERT_EQ(all.state(), NodeState::synced) << "step " << step;
        ASSERT_FALSE(all.apply(now)) << "step " << step;
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

TEST_F(ReconcileTest, WhatIsDueAndWaitsForSomethingElseIsNotWaitedFor) {
    configure();
    acquire();
    kernel.refuses = {"load"};
    apply();
    kernel.host.vtep.reset(); // nothing to load for
    kernel.host.vtep_ifindex = 0;
    kernel.refuses = {"load", "device weft.1"};
    r.check_host();
    apply(1s);
    EXPECT_TRUE(r.failures().contains("load programs"));
    ASSERT_TRUE(next);
    EXPECT_GT(*next, start + 1s) << "or apply() would be called again at once, and again";
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

TEST_F(ReconcileTest, AnUnreachableNodeThatGoesIsNotFailingAnyMore) {
    bring_up();
    kernel.unreachable = {"192.168.1.10"};
    r.put_lease(lease("10.244.8.0/24", "192.168.1.10"));
    apply(1s);
    ASSERT_TRUE(next);
    r.forget_next_hops();
    r.remove_lease(subnet("10.244.8.0/24"));
    apply(2s);
    EXPECT_THAT(r.failures(), IsEmpty());
    EXPECT_EQ(r.state(), NodeState::synced);
    EXPECT_FALSE(next) << "nothing to try again";
}

} // namespace
} // namespace weft
