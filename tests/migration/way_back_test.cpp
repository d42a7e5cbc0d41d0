// SPDX-License-Identifier: Apache-2.0
// weft taken off a node, and flannel started there again, with pods that either of them wired.
#include <gmock/gmock.h>

#include "migration_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class WayBack : public Migration {
protected:
    Status clean_up() {
        auto done = host().run({binary("weftctl"), "cleanup", "--keep-pods", "--run-dir", moved_->run_dir(),
                                "--bpf-dir", moved_->bpf_dir(), "--subnet-file", moved_->subnet_file()});
        if (!done) return fail_as_is(std::move(done));
        return {};
    }
};

TEST_P(WayBack, PodsOfEitherGoOnThroughTheHostsStack) {
    WEFT_ASSERT_OK(start());
    ASSERT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    WEFT_ASSERT_ASSIGN(auto *fresh, moved_->add_pod());
    expect_reach(*fresh, *at_weft_);
    WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(fresh->ns, at_weft_->address));
    auto transfer = std::async(std::launch::async, [&] {
        return tcp_transfer(fresh->ns, at_flannel_->address, 24 * 1024 * 1024, {.rate = 6 * 1024 * 1024});
    });
    (void)flow.report();

    WEFT_ASSERT_OK(moved_->stop());
    WEFT_ASSERT_OK(clean_up());
    WEFT_ASSERT_OK(flannel_->start_again(cluster_->etcd()));
    WEFT_EXPECT_OK(ping(fresh->ns, at_weft_->address, 1));
    WEFT_ASSERT_ASSIGN(const auto report, flow.report());
    fmt::print("back: longest pause {:.1f} ms, {} of {} datagrams lost\n", report.longest_pause_ms, report.lost,
               report.sent);
    WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
    fmt::print("TCP: {:.1f} s, longest pause {:.3f} s\n", done.seconds, done.longest_pause_s);

    for (const auto *pod : {old_, old_too_, at_weft_, at_flannel_}) expect_reach(*fresh, *pod);
    expect_world(*fresh);
    expect_everybody_reaches_everybody();
    EXPECT_THAT(sh("ip -o link show"), Not(HasSubstr("weft.1")));
    EXPECT_THAT(sh("iptables-save; nft list ruleset"),
                Not(testing::AnyOf(HasSubstr("WEFT"), HasSubstr("table ip weft"))));
    EXPECT_THAT(sh("tc filter show dev eth0 ingress"), Not(HasSubstr("weft")));

    // And forth once more: weft finds its own pod again.
    WEFT_ASSERT_OK(start());
    ASSERT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    expect_nothing_of_flannels();
    for (const auto *pod : {old_, at_weft_, at_flannel_}) expect_reach(*fresh, *pod);
    WEFT_ASSERT_ASSIGN(const auto counters, moved_->counters());
    EXPECT_GT(count(counters.all, "from_pod/encap"), 0u) << "its program is not there";
    WEFT_EXPECT_OK(moved_->del_pod(*fresh));
}

INSTANTIATE_TEST_SUITE_P(Setups, WayBack,
                         testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare, "host-gw"}),
                         setup_name);

} // namespace
} // namespace weft::test
