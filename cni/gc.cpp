// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "cni/allowed_note.hpp"
#include "cni/endpoints.hpp"
#include "cni/identity.hpp"
#include "cni/ipam.hpp"
#include "cni/ops.hpp"
#include "cni/problems.hpp"
#include "net/link.hpp"

namespace weft::cni {
namespace {

bool is_valid(const Context &context, const Attachment &attachment) {
    return std::ranges::find(*context.conf.valid_attachments, attachment) != context.conf.valid_attachments->end();
}

/// Host ends that nobody claims: by alias, or by name for one that ADD had no time to give an alias, where IPAM knew
/// whose it was.
std::vector<net::Link> stale_links(const Context &context, const std::vector<net::Link> &links,
                                   const std::vector<Attachment> &forgotten) {
    std::vector<net::Link> stale;
    for (const net::Link &link : links) {
        if (!is_host_end(link)) continue;
        const auto identity = parse_alias(link.alias);
        const bool ours =
            identity ? identity->network == context.conf.name && !is_valid(context, identity->attachment)
                     : std::ranges::any_of(forgotten, [&](const Attachment &a) { return host_ifname(a) == link.name; });
        if (ours) stale.push_back(link);
    }
    return stale;
}

} // namespace

Done gc(const Context &context) {
    // An absent list is not an empty one: that would end every pod's network for a runtime's slip.
    if (!context.conf.valid_attachments)
        return refuse(kInvalidConfig, "cni.dev/valid-attachments: missing, GC needs the list of what to keep");
    Problems problems;
    auto forgotten = make_ipam(context)->gc();
    problems.note(forgotten);
    auto host = net::NlSocket::open();
    if (!host) return refuse(kKernelRefused, std::move(host));
    auto links = net::list_links(*host);
    problems.note(links);
    auto endpoints = Endpoints::open(context.conf.bpf_dir);
    if (!endpoints && endpoints.error().code() != ENOENT) problems.note(endpoints);

    if (links)
        for (const net::Link &link : stale_links(context, *links, forgotten ? *forgotten : std::vector<Attachment>())) {
            problems.note(forget_allowed(context.conf.run_dir, link.name));
            if (endpoints) problems.note(endpoints->withdraw_link(link.index));
            problems.note(net::delete_link(*host, link.index));
            context.remark(fmt::format("gc: removed {} ({})", link.name, link.alias));
        }
    if (endpoints) problems.note(endpoints->sweep(*host));
    return std::move(problems).done();
}

} // namespace weft::cni
