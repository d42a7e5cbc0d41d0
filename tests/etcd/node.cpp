// SPDX-License-Identifier: Apache-2.0
#include "node.hpp"

#include <asio/post.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <future>
#include <sstream>

namespace weft::test {

weft::EtcdOptions options_for(const std::string &endpoint) {
    weft::EtcdOptions options;
    options.endpoints = {endpoint};
    return options;
}

LeaseTuning quick() {
    return {.config_retry = 50ms, .retry_min = 50ms, .retry_max = 200ms, .repeat_status = 1h, .republish = 1h};
}

LeaseAttrs vxlan_attrs(const std::string &nodes) {
    const nlohmann::json data = {{"VNI", 1}, {"VtepMAC", "02:77:c0:00:02:01"}};
    LeaseAttrs attrs{.backend_type = "vxlan"};
    std::istringstream addresses(nodes);
    for (std::string text; addresses >> text;) {
        const auto ip = *parse_ip(text);
        if (ip.is_v4()) {
            attrs.public_ip = ip.to_v4();
            attrs.backend_data = data;
        } else {
            attrs.public_ipv6 = ip.to_v6();
            auto with_zero = data;
            with_zero["ZeroCsum6"] = true;
            attrs.backend_v6_data = with_zero;
        }
    }
    return attrs;
}

std::string vxlan_value(const std::string &nodes) { return format_lease_value(vxlan_attrs(nodes)); }

Node::Node(weft::EtcdOptions etcd, const std::string &addresses, LeaseTuning tuning)
    : attrs_(vxlan_attrs(addresses)), manager_(std::make_unique<LeaseManager>(io_, std::move(etcd), events(), tuning)),
      loop_([this] { io_.run(); }) {}

Node::~Node() {
    stop();
    work_.reset();
    loop_.join();
}

template <class Function> void Node::on_loop(Function function) {
    std::promise<void> done;
    asio::post(io_, [&] {
        function();
        done.set_value();
    });
    done.get_future().wait();
}

void Node::start_config() {
    on_loop([&] { manager_->start_config(); });
}

void Node::join(std::optional<Subnet> previous, std::chrono::minutes renew_margin) {
    on_loop([&] {
        request_ = LeaseRequest{.attrs = attrs_, .previous = previous, .renew_margin = renew_margin};
        manager_->start_config();
    });
}

void Node::stop() {
    on_loop([&] { manager_->stop(); });
}

void Node::note(std::string event) { log_.push_back(std::move(event)); }

LeaseEvents Node::events() {
    const auto locked = [this](auto function) {
        return [this, function](auto argument) {
            const std::lock_guard lock(mutex_);
            function(std::move(argument));
        };
    };
    return {
        .config =
            [this](NetConf conf) {
                {
                    const std::lock_guard lock(mutex_);
                    note("config");
                }
                if (request_) manager_->acquire(*request_, std::move(conf));
            },
        .acquired = locked([this](const Lease &lease) {
            own_ = lease.subnet.to_string();
            note("acquired " + *own_);
        }),
        .lost = locked([this](const Error &error) {
            own_.reset();
            note("lost " + error.sentence());
        }),
        .snapshot = locked([this](const std::vector<LeasePtr> &leases) {
            peers_.clear();
            for (const auto &lease : leases) peers_[lease->subnet.to_string()] = lease->attrs.node();
            note(fmt::format("snapshot {}", leases.size()));
        }),
        .put = locked([this](const LeasePtr &lease) {
            peers_[lease->subnet.to_string()] = lease->attrs.node();
            note("put " + lease->subnet.to_string());
        }),
        .removed = locked([this](const Subnet &subnet) {
            peers_.erase(subnet.to_string());
            note("removed " + subnet.to_string());
        }),
        .status = locked([this](const std::string &text) { note("status " + text); }),
    };
}

std::optional<std::string> Node::own() const {
    const std::lock_guard lock(mutex_);
    return own_;
}
std::map<std::string, std::string> Node::peers() const {
    const std::lock_guard lock(mutex_);
    return peers_;
}
std::vector<std::string> Node::log() const {
    const std::lock_guard lock(mutex_);
    return log_;
}
std::size_t Node::count(const std::string &part) const {
    std::size_t found = 0;
    for (const auto &event : log()) found += event.find(part) != std::string::npos;
    return found;
}
std::string Node::describe() const {
    return fmt::format("events:\n{}\nstate {}", fmt::join(log(), "\n"), to_string(state()));
}

} // namespace weft::test
