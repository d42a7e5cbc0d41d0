// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "etcd_server.hpp"
#include "lease/lease_manager.hpp"
#include "poll.hpp"

namespace weft::test {

inline constexpr const char *kConfigKey = "/coreos.com/network/config";
inline constexpr const char *kSubnets = "/coreos.com/network/subnets/";
inline std::string key(const std::string &name) { return kSubnets + name; }
inline constexpr const char *kConfig = R"({"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}})";
inline constexpr const char *kDualConfig =
    R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"vxlan"}})";
inline constexpr const char *kIpv6Config =
    R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"vxlan"}})";

/// A running etcd, or the test ends here.
#define ASSERT_ETCD(name, ...)                                                                                         \
    auto name##_started = EtcdServer::start(__VA_ARGS__);                                                              \
    ASSERT_TRUE(name##_started) << name##_started.error().sentence();                                                  \
    auto &name = *name##_started

weft::EtcdOptions options_for(const std::string &endpoint);
inline weft::EtcdOptions options_for(const EtcdServer &etcd) { return options_for(etcd.endpoint()); }

/// Intervals of a few hundred milliseconds, no second publication.
LeaseTuning quick();

/// A lease manager with its event loop on a thread, and a record of all it said.
class Node {
public:
    /// @param addresses as of vxlan_attrs()
    Node(weft::EtcdOptions etcd, const std::string &addresses, LeaseTuning tuning = quick());
    ~Node();

    /// Reads the configuration and then acquires.
    void join(std::optional<Subnet> previous = {}, std::chrono::minutes renew_margin = std::chrono::minutes(60));
    void start_config();
    void stop();
    [[nodiscard]] LeaseState state() const { return manager_->state(); }

    [[nodiscard]] std::optional<std::string> own() const;           ///< subnet held, "10.5.3.0/24"
    [[nodiscard]] std::map<std::string, std::string> peers() const; ///< subnet -> node, as the events add up
    /// All events: "config", "acquired S", "lost E", "snapshot N", "put S", "removed S", "status T".
    [[nodiscard]] std::vector<std::string> log() const;
    [[nodiscard]] std::size_t count(const std::string &part) const; ///< events that contain `part`
    [[nodiscard]] std::string describe() const;

    [[nodiscard]] bool wait_own(std::chrono::milliseconds timeout = 10s) const {
        return wait_until([this] { return own().has_value(); }, timeout);
    }
    [[nodiscard]] bool wait_for(const std::string &part, std::size_t times = 1,
                                std::chrono::milliseconds timeout = 10s) const {
        return wait_until([&] { return count(part) >= times; }, timeout);
    }
    [[nodiscard]] bool wait_peers(const std::map<std::string, std::string> &peers,
                                  std::chrono::milliseconds timeout = 10s) const {
        return wait_until([&] { return this->peers() == peers; }, timeout);
    }

private:
    void note(std::string event);
    LeaseEvents events();
    template <class Function> void on_loop(Function function);

    const LeaseAttrs attrs_;
    mutable std::mutex mutex_;
    std::vector<std::string> log_;
    std::optional<std::string> own_;
    std::map<std::string, std::string> peers_;
    std::optional<LeaseRequest> request_;
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    std::unique_ptr<LeaseManager> manager_;
    std::thread loop_;
};

/// A lease's attributes as a vxlan node publishes them. @param nodes its addresses: "192.0.2.1", "2001:db8::1" or both
LeaseAttrs vxlan_attrs(const std::string &nodes);
std::string vxlan_value(const std::string &nodes);

} // namespace weft::test
