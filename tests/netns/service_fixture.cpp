// SPDX-License-Identifier: Apache-2.0
#include "service_fixture.hpp"

#include <future>

namespace weft::test {
namespace {

constexpr unsigned kOtherServices = 1000;

} // namespace

NodeRules ServiceCluster::rules_of(const std::vector<std::string> &local_pods) const {
    const auto service = [](const char *name, const char *ip, std::vector<std::string> backends, bool local = false) {
        const auto last_octet = static_cast<std::uint16_t>(std::stoi(std::string(ip).substr(8)));
        return Service{
            name, ip, kTrafficPort, static_cast<std::uint16_t>(30000 + last_octet), local, std::move(backends)};
    };
    NodeRules rules{.services = other_services(kOtherServices), .local_pods = local_pods};
    // Behind the others, so that a rule walk passes them all.
    rules.services.push_back(service("on-1", kOn1, {on_1_->address}));
    rules.services.push_back(service("on-2", kOn2, {on_2_->address}));
    rules.services.push_back(service("self", kSelf, {client_->address}));
    rules.services.push_back(service("both", kBoth, {on_1_->address, on_2_->address}));
    rules.services.push_back(service("local-on-2", kLocalOn2, {on_2_->address}, true));
    for (const auto &pod : local_pods)
        rules.host_ports.push_back({pod, pod == client_->address ? kHostPortSelf : kHostPort, kTrafficPort});
    return rules;
}

void ServiceCluster::start(const std::vector<std::string> &flags, bool ip_masq) {
    WEFT_REQUIRES(requires_cluster());
    WEFT_REQUIRES(requires_tools({"conntrack", "nft"}));
    const test::Setup setup{GetParam().datapath, GetParam().wire, GetParam().backend};
    WEFT_ASSERT_ASSIGN(cluster_,
                       Cluster::create({.wire = setup.wire, .datapath = setup.datapath, .net_conf = setup.net_conf()}));
    for (auto &node : nodes_) {
        WEFT_ASSERT_ASSIGN(node, cluster_->add_stopped_node());
        auto options = cluster_->node_options();
        options.ip_masq = ip_masq;
        options.flags = flags;
        options.flags.push_back(fmt::format("--firewall={}", name_of(GetParam().rules)));
        WEFT_ASSERT_OK(node->start(options));
    }
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(client_, nodes_[0]->add_pod());
    WEFT_ASSERT_ASSIGN(on_1_, nodes_[0]->add_pod());
    WEFT_ASSERT_ASSIGN(on_2_, nodes_[1]->add_pod());
    // Side by side: iptables takes its time.
    auto on_1 = std::async(std::launch::async, [this] {
        return load_rules(nodes_[0]->netns(), GetParam().rules, rules_of({client_->address, on_1_->address}));
    });
    const auto on_2 = load_rules(nodes_[1]->netns(), GetParam().rules, rules_of({on_2_->address}));
    WEFT_ASSERT_OK(on_1.get());
    WEFT_ASSERT_OK(on_2);
}

void ServiceCluster::TearDown() {
    if (IsSkipped()) return;
    for (const auto *node : nodes_) {
        if (!node) continue;
        expect_no_drops(*node);
        WEFT_ASSERT_ASSIGN(const auto dropped, invalid_drops(node->netns(), GetParam().rules));
        EXPECT_EQ(dropped, 0u) << node->name() << ": packets that conntrack called invalid were dropped";
    }
}

Result<ServiceCluster::Readings> ServiceCluster::read_counters() const {
    Readings readings;
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
        auto reading = nodes_[n]->counters();
        if (!reading) return fail_as_is(std::move(reading));
        readings[n] = std::move(reading->all);
    }
    return readings;
}

Result<std::uint64_t> ServiceCluster::invalid() const {
    std::uint64_t sum = 0;
    for (const auto *node : nodes_) {
        auto one = conntrack_invalid(node->netns());
        if (!one) return one;
        sum += *one;
    }
    return sum;
}

} // namespace weft::test
