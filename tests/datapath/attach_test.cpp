// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>

#include "datapath/datapath.hpp"
#include "datapath/tc_attach.hpp"
#include "datapath/xdp_attach.hpp"
#include "dirs.hpp"
#include "needs.hpp"
#include "net/link.hpp"

namespace weft {
namespace {

using datapath::TcHook;

constexpr const char *kXdpProgram = "weft_xdp_wire";

/// A namespace with an uplink, a stand-in for weft.1 and a pod's veth; the process stays in it.
class Attach : public ::testing::Test {
protected:
    void SetUp() override {
        if (auto missing = test::requires_netns()) GTEST_SKIP() << *missing;
        if (auto missing = test::requires_bpffs()) GTEST_SKIP() << *missing;
        ASSERT_EQ(unshare(CLONE_NEWNET), 0);
        auto dir = test::BpfDir::create("attach");
        ASSERT_TRUE(dir) << dir.error().sentence();
        bpf_dir_.emplace(std::move(*dir));
        auto sock = net::NlSocket::open();
        ASSERT_TRUE(sock);
        sock_ = std::make_unique<net::NlSocket>(std::move(*sock));
        uplink_ = make_link("up0");
        vtep_ = make_link("weft.1");
        pod_ = make_link("weft0123");
    }

    int make_link(const std::string &name) {
        const UniqueFd own_netns(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        net::PairSpec spec;
        spec.name = name;
        spec.peer_name = "p" + name;
        spec.peer_netns_fd = own_netns.get();
        EXPECT_TRUE(net::create_pair(*sock_, spec));
        const auto index = static_cast<int>(if_nametoindex(name.c_str()));
        EXPECT_TRUE(net::change_link(*sock_, index, {.up = true}));
        EXPECT_TRUE(net::change_link(*sock_, static_cast<int>(if_nametoindex(spec.peer_name.c_str())), {.up = true}));
        return index;
    }

    [[nodiscard]] Result<Datapath> load(DatapathMode mode = DatapathMode::automatic,
                                        std::uint32_t max_leases = 256) const {
        DatapathConfig config;
        config.networks = {*parse_net4("10.244.0.0/16")};
        config.subnets = {*parse_net4("10.244.1.0/24")};
        config.nodes = {*parse_ip4("192.0.2.1")};
        config.max_leases = max_leases;
        config.uplink_ifindex = uplink_;
        config.vtep_ifindex = vtep_;
        config.mode = mode;
        config.bpf_dir = bpf_dir_->path();
        return Datapath::load(config);
    }

    void put_pod(const Datapath &datapath, const char *address, int ifindex) const {
        ASSERT_TRUE(datapath.endpoints().put(abi::ip(*parse_ip4(address)),
                                             weft_endpoint{static_cast<__u32>(ifindex), {}, {}, 0}));
    }

    /// The id of the weft program on a hook; 0 for none.
    static std::uint32_t on(int ifindex, TcHook hook) {
        const auto id = datapath::attached_tc(ifindex, hook);
        EXPECT_TRUE(id) << id.error().sentence();
        return id ? id->value_or(0) : 0;
    }
    static std::uint32_t id_of(const Datapath &datapath, weft_hook hook) {
        return *datapath::program_id(datapath.program_fd(hook));
    }

    std::optional<test::BpfDir> bpf_dir_;
    std::unique_ptr<net::NlSocket> sock_;
    int uplink_ = 0, vtep_ = 0, pod_ = 0;
};

TEST_F(Attach, EachProgramIsOnItsHookAndASecondTimeNothingChanges) {
    auto datapath = load();
    ASSERT_TRUE(datapath) << datapath.error().sentence();
    put_pod(*datapath, "10.244.1.2", pod_);
    const auto made = datapath->attach();
    ASSERT_TRUE(made) << made.error().sentence();
    EXPECT_EQ(*made, (std::vector<std::string>{"from_host on weft.1", "from_tunnel on weft.1", "from_wire on up0",
                                               "from_pod on weft0123"}));
    EXPECT_EQ(on(vtep_, TcHook::egress), id_of(*datapath, WEFT_HOOK_FROM_HOST));
    EXPECT_EQ(on(vtep_, TcHook::ingress), id_of(*datapath, WEFT_HOOK_FROM_TUNNEL));
    EXPECT_EQ(on(uplink_, TcHook::ingress), id_of(*datapath, WEFT_HOOK_FROM_WIRE));
    EXPECT_EQ(on(pod_, TcHook::ingress), id_of(*datapath, WEFT_HOOK_FROM_POD));
    EXPECT_EQ(on(uplink_, TcHook::egress), 0U);
    EXPECT_TRUE(datapath->attach()->empty());
}

TEST_F(Attach, ProgramsOutliveTheirLoaderAndAreReplacedByTheNext) {
    std::uint32_t first = 0;
    {
        auto datapath = load();
        ASSERT_TRUE(datapath);
        ASSERT_TRUE(datapath->attach());
        first = on(uplink_, TcHook::ingress);
    }
    ASSERT_NE(first, 0U);
    EXPECT_EQ(on(uplink_, TcHook::ingress), first) << "gone with its loader";
    auto next = load();
    ASSERT_TRUE(next);
    ASSERT_TRUE(next->attach());
    EXPECT_EQ(on(uplink_, TcHook::ingress), id_of(*next, WEFT_HOOK_FROM_WIRE));
    EXPECT_NE(on(uplink_, TcHook::ingress), first);
}

TEST_F(Attach, WhatSomebodyTookOffIsPutBackAndSaid) {
    auto datapath = load();
    ASSERT_TRUE(datapath);
    ASSERT_TRUE(datapath->attach());
    constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46); // newer than these headers
    if (bpf_prog_detach2(datapath->program_fd(WEFT_HOOK_FROM_WIRE), uplink_, kTcxIngress) == -EINVAL)
        GTEST_SKIP() << "this kernel has no TCX (Linux 6.6)";
    ASSERT_EQ(on(uplink_, TcHook::ingress), 0U);
    const auto made = datapath->attach();
    ASSERT_TRUE(made);
    EXPECT_EQ(*made, std::vector<std::string>{"from_wire on up0"});
    EXPECT_EQ(on(uplink_, TcHook::ingress), id_of(*datapath, WEFT_HOOK_FROM_WIRE));
}

TEST_F(Attach, AHookThatIsGoneIsAnErrorThatNamesIt) {
    auto datapath = load();
    ASSERT_TRUE(datapath);
    ASSERT_TRUE(net::delete_link(*sock_, vtep_).value_or(false));
    const auto made = datapath->attach();
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().sentence().find("from_host"), std::string::npos) << made.error().sentence();
}

TEST_F(Attach, MapsAreReusedAndResizedOnesAreMadeAnew) {
    const auto key = abi::lease_key(*parse_net4("10.244.2.0/24"));
    {
        auto datapath = load();
        ASSERT_TRUE(datapath);
        ASSERT_TRUE(datapath->leases().put(key, weft_lease{}));
        put_pod(*datapath, "10.244.1.2", pod_);
    }
    {
        auto same = load();
        ASSERT_TRUE(same);
        EXPECT_TRUE(same->leases().get(key)->has_value());
    }
    auto larger = load(DatapathMode::automatic, 4096);
    ASSERT_TRUE(larger) << larger.error().sentence();
    EXPECT_FALSE(larger->leases().get(key)->has_value());
    EXPECT_TRUE(larger->endpoints().get(abi::ip(*parse_ip4("10.244.1.2")))->has_value()) << "pods must not be lost";
}

TEST_F(Attach, APodThatVanishedHoldsNobodyUp) {
    auto datapath = load();
    ASSERT_TRUE(datapath);
    put_pod(*datapath, "10.244.1.2", 4242);
    put_pod(*datapath, "10.244.1.3", static_cast<int>(if_nametoindex("lo"))); // the index is another device's by now
    put_pod(*datapath, "10.244.1.4", pod_);
    ASSERT_TRUE(datapath->attach());
    EXPECT_NE(on(pod_, TcHook::ingress), 0U);
    EXPECT_EQ(on(static_cast<int>(if_nametoindex("lo")), TcHook::ingress), 0U);
}

TEST_F(Attach, XdpIsAttachedAndTakenOffByTheMode) {
    {
        auto datapath = load(DatapathMode::xdp);
        ASSERT_TRUE(datapath);
        const auto made = datapath->attach();
        ASSERT_TRUE(made) << made.error().sentence();
        EXPECT_EQ(made->back(), "xdp_wire on up0");
        EXPECT_TRUE(datapath->attach()->empty());
    }
    EXPECT_TRUE(datapath::xdp_is_attached(kXdpProgram, uplink_)) << "gone with its loader";
    {
        auto again = load(DatapathMode::xdp);
        ASSERT_TRUE(again);
        ASSERT_TRUE(again->attach());
        EXPECT_TRUE(datapath::xdp_is_attached(kXdpProgram, uplink_));
    }
    auto tc = load(DatapathMode::tc);
    ASSERT_TRUE(tc);
    const auto made = tc->attach();
    ASSERT_TRUE(made);
    EXPECT_EQ(made->back(), "xdp_wire taken off up0");
    EXPECT_FALSE(datapath::xdp_is_attached(kXdpProgram, uplink_));
}

/// Somebody's XDP program that lets everything pass, attached without libxdp.
int foreign_xdp_program() {
    const bpf_insn pass[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
                             {.code = BPF_JMP | BPF_EXIT}};
    return bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", pass, std::size(pass), nullptr);
}

TEST_F(Attach, AForeignXdpProgramIsLeftAloneAndNamed) {
    const UniqueFd foreign(foreign_xdp_program());
    ASSERT_TRUE(foreign);
    ASSERT_EQ(bpf_xdp_attach(uplink_, foreign.get(), 0, nullptr), 0);
    auto datapath = load(DatapathMode::xdp);
    ASSERT_TRUE(datapath);
    const auto made = datapath->attach();
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().sentence().find("another XDP program"), std::string::npos) << made.error().sentence();
    __u32 id = 0;
    ASSERT_EQ(bpf_xdp_query_id(uplink_, 0, &id), 0);
    EXPECT_EQ(id, *datapath::program_id(foreign.get()));
    // tc mode has nothing to do with it.
    auto tc = load(DatapathMode::tc);
    ASSERT_TRUE(tc);
    EXPECT_TRUE(tc->attach());
}

TEST_F(Attach, ADirectoryThatIsNoBpffsIsRefused) {
    DatapathConfig config;
    config.networks = config.subnets = {*parse_net4("10.244.0.0/16")};
    const auto dir = test::TempDir::create("no-bpffs");
    ASSERT_TRUE(dir);
    config.bpf_dir = dir->path();
    const auto refused = Datapath::load(config);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence().find("not on a bpffs"), std::string::npos) << refused.error().sentence();
}

} // namespace
} // namespace weft
