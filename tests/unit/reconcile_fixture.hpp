// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "daemon/reconcile.hpp"
#include "fake_kernel.hpp"

namespace weft {

using namespace std::chrono_literals;
inline Ip4 ip(const char *text) { return *parse_ip4(text); }
inline Net4 net4(const char *text) { return *parse_net4(text); }
inline Subnet subnet(const char *text) { return {net4(text), std::nullopt}; }

inline Uplink uplink() {
    return {.ifindex = 2,
            .name = "eth0",
            .mtu = 1500,
            .v4 = UplinkAddress<Ip4>{ip("192.168.1.5"), ip("192.168.1.5")},
            .v6 = std::nullopt};
}

inline LeasePtr lease(const char *net, const char *public_ip) {
    return std::make_shared<const Lease>(subnet(net), LeaseAttrs{.public_ip = ip(public_ip),
                                                                 .backend_type = "vxlan",
                                                                 .backend_data = {{"VtepMAC", "1e:3a:76:11:44:7f"}}});
}

/// A reconciler on a host that is memory; times are those since its start.
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

} // namespace weft
