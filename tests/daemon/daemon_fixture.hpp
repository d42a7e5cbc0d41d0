// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "cluster_fixture.hpp"

namespace weft::test {

/// A cluster of one node, at 192.0.2.1 with eth0; not started.
class DaemonTest : public testing::Test {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_cluster());
        WEFT_ASSERT_ASSIGN(cluster_, Cluster::create({.net_conf = net_conf()}));
        WEFT_ASSERT_ASSIGN(node_, cluster_->add_stopped_node());
    }
    [[nodiscard]] virtual std::string net_conf() const {
        return R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}})";
    }

    void start(std::vector<std::string> flags = {}) { WEFT_ASSERT_OK(node_->start(options(std::move(flags)))); }
    void launch(std::vector<std::string> flags = {}) { WEFT_ASSERT_OK(node_->launch(options(std::move(flags)))); }
    [[nodiscard]] WeftNode::Options options(std::vector<std::string> flags) const {
        auto all = cluster_->node_options();
        all.ip_masq = false;
        all.flags = std::move(flags);
        return all;
    }

    /// Another node's lease, as flannel writes it.
    Status put_lease(const std::string &subnet, const std::string &public_ip, const std::string &backend = "vxlan") {
        return cluster_->etcd().put("/coreos.com/network/subnets/" + subnet,
                                    fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"{}",)"
                                                R"("BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:00:07"}}}})",
                                                public_ip, backend));
    }

    /// Output of a command in the node's namespace; "" and a failed test if it fails.
    std::string sh(std::string_view line) const {
        const auto out = node_->netns().run(line);
        if (!out) ADD_FAILURE() << out.error().sentence();
        return out.value_or("");
    }
    [[nodiscard]] int ifindex_of_vtep() const { return std::atoi(sh("ip -o link show weft.1").c_str()); }
    [[nodiscard]] std::string log() const { return node_->daemon()->err(); }

    /// The node's leases by subnet, as `weftctl leases` tells them.
    [[nodiscard]] std::map<std::string, nlohmann::json> leases() const {
        std::map<std::string, nlohmann::json> by_subnet;
        const auto rows = node_->weftctl("leases");
        if (rows)
            for (const auto &row : *rows) by_subnet[row["subnet"]] = row;
        return by_subnet;
    }
    /// One field of one lease, as text; "" while there is no such lease.
    [[nodiscard]] std::string lease_field(const std::string &subnet, const char *name) const {
        const auto all = leases();
        const auto found = all.find(subnet);
        if (found == all.end() || !found->second.contains(name)) return "";
        const auto &field = found->second[name];
        return field.is_string() ? field.get<std::string>() : field.dump();
    }
    [[nodiscard]] nlohmann::json status() const {
        const auto answer = node_->weftctl("status");
        return answer ? answer->value("daemon", nlohmann::json()) : nlohmann::json();
    }

    static std::size_t times(std::string_view text, std::string_view part) {
        std::size_t count = 0;
        for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
        return count;
    }

    std::unique_ptr<Cluster> cluster_;
    WeftNode *node_ = nullptr;
};

} // namespace weft::test
