// SPDX-License-Identifier: Apache-2.0
#include "ctl/doctor/facts.hpp"

#include <algorithm>

#include "ctl/control_socket.hpp"
#include "ctl/pins.hpp"
#include "net/route_query.hpp"

namespace weft::ctl {
namespace {

constexpr std::string_view kVtep = "weft.1";

void ask_daemon(NodeFacts &facts, const Context &context) {
    auto answer = ask(context.run_dir, {{"command", "status"}});
    if (answer) {
        facts.daemon = std::move(*answer);
        return;
    }
    const int code = answer.error().code();
    facts.daemon_said = code == ENOENT || code == ECONNREFUSED ? "weftd does not run" : answer.error().sentence();
}

void read_env(NodeFacts &facts, const std::filesystem::path &fallback) {
    const auto told = facts.said("/subnet_file");
    facts.subnet_file = told.empty() ? fallback : std::filesystem::path(told);
    auto env = read_subnet_env(facts.subnet_file);
    if (env)
        facts.env = std::move(*env);
    else
        facts.env_said = env.error().sentence();
    for (const auto *field : {"/network", "/ipv6_network"})
        if (const auto network = parse_net(facts.said(field))) facts.networks.push_back(network->canonical());
    if (facts.networks.empty() && facts.env) facts.networks = facts.env->networks();
}

Status read_links(NodeFacts &facts) {
    auto sock = net::NlSocket::open();
    if (!sock) return fail_as_is(std::move(sock));
    auto links = net::list_links(*sock);
    if (!links) return fail_as_is(std::move(links));
    facts.links = std::move(*links);
    auto uplink = facts.said("/uplink/name");
    if (uplink.empty())
        if (const auto routes = net::list_default_routes(*sock); routes && !routes->empty())
            if (const auto *link = facts.link(static_cast<unsigned>(routes->front().ifindex))) uplink = link->name;
    for (const auto &link : facts.links) {
        if (link.name == uplink) facts.uplink = link;
        if (link.name == kVtep) facts.vtep = link;
    }
    return {};
}

Status read_datapath(NodeFacts &facts, const Context &context) {
    auto endpoints = open_map<maps::EndpointMap>(context.bpf_dir, WEFT_PIN_ENDPOINTS);
    if (!endpoints) return fail_as_is(std::move(endpoints));
    auto pods = (**endpoints).entries();
    if (!pods) return fail_as_is(std::move(pods));
    auto lease_map = open_map<maps::LeaseMap>(context.bpf_dir, WEFT_PIN_LEASES);
    if (!lease_map) return fail_as_is(std::move(lease_map));
    auto leases = (**lease_map).entries();
    if (!leases) return fail_as_is(std::move(leases));
    auto links = ctl::read_links();
    if (!links) return fail_as_is(std::move(links));
    auto attachments = read_attachments(*links);
    if (!attachments) return fail_as_is(std::move(attachments));
    facts.endpoints = std::move(*pods);
    facts.leases = std::move(*leases);
    facts.attachments = std::move(*attachments);
    facts.pinned = true;
    return {};
}

} // namespace

std::string NodeFacts::said(std::string_view pointer) const {
    if (!daemon) return {};
    const nlohmann::json::json_pointer at{std::string(pointer)};
    if (!daemon->contains(at)) return {};
    const auto &value = daemon->at(at);
    return value.is_string() ? value.get<std::string>() : value.dump();
}

const net::Link *NodeFacts::link(unsigned ifindex) const {
    const auto found = std::ranges::find(links, static_cast<int>(ifindex), &net::Link::index);
    return found == links.end() ? nullptr : &*found;
}

Result<NodeFacts> gather_facts(const Context &context, const std::filesystem::path &subnet_file) {
    NodeFacts facts{.run_dir = context.run_dir};
    ask_daemon(facts, context);
    read_env(facts, subnet_file);
    if (auto read = read_links(facts); !read) return fail_as_is(std::move(read));
    if (auto read = read_datapath(facts, context); !read) {
        if (read.error().code() == EACCES) return fail_as_is(std::move(read)); // not root: nothing can be told
        facts.datapath_said = read.error().sentence();
    }
    return facts;
}

} // namespace weft::ctl
