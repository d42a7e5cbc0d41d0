// SPDX-License-Identifier: Apache-2.0
// weft's XDP program beside somebody else's on one uplink, by libxdp's dispatcher: the foreign one is xdp-filter's, which lets
// everything pass that it has no rule for.
#include <net/if.h>
#include <xdp/libxdp.h>

#include <memory>
#include <string>

#include "two_nodes.hpp"

namespace weft::kernels {
namespace {

constexpr const char *kForeignObject = "xdpfilt_alw_all.o";
constexpr const char *kLack = "xdp_dispatcher";
constexpr std::uint64_t kBytes = 64 * 1024;

struct ProgramClose {
    void operator()(xdp_program *program) const { xdp_program__close(program); }
};

class Dispatcher : public TwoNodes {
protected:
    void SetUp() override {
        TwoNodes::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        if (auto why = cannot_share()) GTEST_SKIP() << *why;
        wire(Uplink::veth);
    }

    /// Two programs on a device that is nobody's: whether this kernel lets programs share.
    std::optional<std::string> cannot_share() {
        std::optional<std::string> why;
        const auto tried = node(0).netns().run_in([&]() -> Status {
            const auto program = open_foreign();
            if (!program) return fail("open " + std::string(kForeignObject), ENOENT);
            constexpr int kLoopback = 1;
            const int err = xdp_program__attach(program.get(), kLoopback, XDP_MODE_SKB, 0);
            if (err) return fail_errno(-err, "attach");
            auto *all = xdp_multiprog__get_from_ifindex(kLoopback);
            if (!all || libxdp_get_error(all)) return fail("read back what is attached");
            if (xdp_multiprog__is_legacy(all)) why = "this kernel has no BPF trampolines: XDP programs do not share";
            xdp_multiprog__close(all);
            (void)xdp_program__detach(program.get(), kLoopback, XDP_MODE_SKB, 0);
            return {};
        });
        if (!tried) return tried.error().sentence();
        return why;
    }

    static std::unique_ptr<xdp_program, ProgramClose> open_foreign() {
        xdp_program_opts opts{};
        opts.sz = sizeof(opts);
        opts.find_filename = kForeignObject;
        opts.prog_name = "xdpfilt_alw_all";
        auto *program = xdp_program__create(&opts);
        return std::unique_ptr<xdp_program, ProgramClose>(libxdp_get_error(program) ? nullptr : program);
    }

    Status attach_foreign() {
        foreign_ = open_foreign();
        return node(1).netns().run_in([&]() -> Status {
            const int err =
                xdp_program__attach(foreign_.get(), static_cast<int>(if_nametoindex("eth0")), XDP_MODE_NATIVE, 0);
            return err ? fail_errno(-err, "attach the foreign program") : Status();
        });
    }
    Status detach_foreign() {
        return node(1).netns().run_in([&]() -> Status {
            const int err =
                xdp_program__detach(foreign_.get(), static_cast<int>(if_nametoindex("eth0")), XDP_MODE_NATIVE, 0);
            return err ? fail_errno(-err, "detach the foreign program") : Status();
        });
    }

    /// How many programs are behind the dispatcher of the uplink.
    std::size_t sharing() {
        std::size_t count = 0;
        EXPECT_TRUE(node(1).netns().run_in([&]() -> Status {
            auto *all = xdp_multiprog__get_from_ifindex(static_cast<int>(if_nametoindex("eth0")));
            if (!all || libxdp_get_error(all)) return {};
            if (!xdp_multiprog__is_legacy(all))
                for (auto *p = xdp_multiprog__next_prog(nullptr, all); p; p = xdp_multiprog__next_prog(p, all)) ++count;
            xdp_multiprog__close(all);
            return {};
        }));
        return count;
    }

    [[nodiscard]] std::uint64_t seen_by_xdp() {
        const auto counters = node(1).counters();
        EXPECT_TRUE(counters) << counters.error().sentence();
        std::uint64_t all = 0;
        if (counters)
            for (const auto &[name, packets] : counters->all)
                if (name.starts_with("xdp_wire/")) all += packets;
        return all;
    }

    void expect_xdp_works() {
        const auto before = seen_by_xdp();
        ASSERT_NO_FATAL_FAILURE(expect_transfers(kBytes));
        EXPECT_GT(seen_by_xdp(), before);
    }

    std::unique_ptr<xdp_program, ProgramClose> foreign_;
};

/// Both orders of coming, and of going. Where the kernel lets libxdp's dispatcher not have weft's program, whoever was first
/// stays alone, and says so or is told.
TEST_F(Dispatcher, ProgramsComeAndGoUnderTraffic) {
    ASSERT_NO_FATAL_FAILURE(start("xdp"));
    const auto all = lacks(1);
    auto of_this = nlohmann::json::object();
    if (all.contains(kLack)) of_this[kLack] = all.at(kLack);
    RecordProperty("lacks", of_this.dump()); // no probe knows before, so the table has it from here
    const bool shares = of_this.empty();
    WEFT_ASSERT_ASSIGN(auto flow, test::SteadyFlow::start(pod(0).ns, pod(1).address, std::chrono::milliseconds(20)));
    ASSERT_NO_FATAL_FAILURE(expect_xdp_works());
    EXPECT_EQ(attach_foreign().has_value(), shares);
    EXPECT_EQ(sharing(), shares ? 2U : 0U);
    ASSERT_NO_FATAL_FAILURE(expect_xdp_works());
    if (shares) WEFT_ASSERT_OK(detach_foreign());
    ASSERT_NO_FATAL_FAILURE(expect_xdp_works());

    WEFT_ASSERT_OK(node(1).stop());
    WEFT_ASSERT_OK(restart(1, "tc"));
    WEFT_ASSERT_OK(attach_foreign());
    WEFT_ASSERT_OK(node(1).stop());
    WEFT_ASSERT_OK(restart(1, "xdp"));
    EXPECT_EQ(sharing(), shares ? 2U : 1U);
    EXPECT_EQ(lacks(1, "native_xdp"), !shares);
    if (shares)
        expect_xdp_works();
    else
        expect_transfers(kBytes);
    WEFT_ASSERT_OK(detach_foreign());
    ASSERT_NO_FATAL_FAILURE(expect_transfers(kBytes));
    WEFT_ASSERT_ASSIGN(const auto report, flow.report());
    EXPECT_EQ(report.lost, 0U) << "of " << report.sent;
}

} // namespace
} // namespace weft::kernels
