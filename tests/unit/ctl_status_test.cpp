// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/status.hpp"

namespace weft::ctl {
namespace {

using testing::HasSubstr;

DatapathSummary some_path() {
    DatapathSummary path{.leases = 2, .nodes = 2, .endpoints = 3, .prefix_lens = {{{{24, 20}, {64}}}}};
    path.totals.forward = {1000, 64000};
    path.totals.drop = {1, 60};
    return path;
}

TEST(CtlStatus, ADaemonThatIsDownIsAStateAndThePathIsStillShown) {
    const NodeStatus status{.bpf_dir = "/sys/fs/bpf/weft", .datapath = some_path()};
    EXPECT_EQ(status_text(status), "weftd             not running\n"
                                   "datapath          /sys/fs/bpf/weft\n"
                                   "  leases          2\n"
                                   "  prefix lengths  /24 /20 /64 (IPv6)\n"
                                   "  senders         2\n"
                                   "  pods            3\n"
                                   "  forwarded       1000 packets, 64000 bytes\n"
                                   "  to host stack   0 packets, 0 bytes\n"
                                   "  dropped         1 packets, 60 bytes\n");
    const auto json = status_json(status);
    EXPECT_EQ(json["state"], "not running");
    EXPECT_TRUE(json["daemon"].is_null());
    EXPECT_EQ(json["datapath"]["forward"]["packets"], 1000);
}

TEST(CtlStatus, WhatTheDaemonTellsIsShownWhateverItIs) {
    const NodeStatus status{.bpf_dir = "/sys/fs/bpf/weft",
                            .daemon = nlohmann::json{{"state", "synced"},
                                                     {"lease", {{"subnet", "10.244.1.0/24"}, {"renewed", true}}},
                                                     {"new_field", {1, 2}},
                                                     {"failing", nlohmann::json::object()},
                                                     {"said", ""}},
                            .datapath = some_path()};
    const auto text = status_text(status);
    EXPECT_THAT(text, HasSubstr("weftd             running\n"));
    EXPECT_THAT(text, HasSubstr("  lease.subnet    10.244.1.0/24\n"));
    EXPECT_THAT(text, HasSubstr("  lease.renewed   true\n"));
    EXPECT_THAT(text, HasSubstr("  new_field       [1,2]\n"));
    EXPECT_THAT(text, HasSubstr("  failing         -\n"));
    EXPECT_THAT(text, HasSubstr("  said            -\n"));
    EXPECT_EQ(status_json(status)["daemon"]["lease"]["subnet"], "10.244.1.0/24");
}

TEST(CtlStatus, ProgramsAreListedAndThoseOfPodsCounted) {
    auto path = some_path();
    path.pod_ifindexes = {7, 8};
    path.attachments = {{2, "eth0", "xdp", "weft_xdp_wire", 20},
                        {2, "eth0", "tc ingress", "weft_from_wire", 21},
                        {7, "weft0123456789a", "tc ingress", "weft_from_pod", 22}};
    const NodeStatus status{.bpf_dir = "/sys/fs/bpf/weft", .datapath = path};
    EXPECT_THAT(status_text(status), HasSubstr("  eth0 xdp         weft_xdp_wire (id 20)\n"
                                               "  eth0 tc ingress  weft_from_wire (id 21)\n"
                                               "  pods' veths      1 of 2 have a program\n"));
    const auto programs = status_json(status)["datapath"]["programs"];
    ASSERT_EQ(programs.size(), 3U);
    EXPECT_EQ(programs[2]["program"], "weft_from_pod");
}

TEST(CtlStatus, ADaemonThatWaitsForItsConfigurationHasNoPathYet) {
    const NodeStatus status{.bpf_dir = "/tmp/none", .daemon = nlohmann::json{{"state", "waiting"}}};
    EXPECT_THAT(status_text(status), HasSubstr("datapath  not set up in /tmp/none\n"));
    EXPECT_TRUE(status_json(status)["datapath"].is_null());
}

} // namespace
} // namespace weft::ctl
