// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cni/allowed_note.hpp"
#include "cni/endpoints.hpp"
#include "cni/identity.hpp"
#include "cni/ipam.hpp"
#include "cni/ops.hpp"
#include "cni/problems.hpp"
#include "cni/step.hpp"
#include "cni/unwire.hpp"
#include "net/link.hpp"

namespace weft::cni {
namespace {

/// Every address that may be this attachment's: from IPAM's files and from prevResult. Being wrong does no harm:
/// Endpoints::withdraw leaves a living pod's entry alone.
std::vector<Ip> candidate_addresses(const Context &context, Ipam &ipam) {
    auto addresses = ipam.known_addresses();
    if (!context.conf.prev_result) return addresses;
    for (const IpConfig &ip : context.conf.prev_result->ips) {
        const Ip &address = ip.address.address();
        if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
    }
    return addresses;
}

void withdraw(const Context &context, net::NlSocket &host, const std::optional<net::Link> &link,
              const std::vector<Ip> &addresses, Problems &problems) {
    problems.note(forget_allowed(context.conf.run_dir, host_ifname(context.attachment())));
    auto endpoints = Endpoints::open(context.conf.bpf_dir);
    if (!endpoints) {
        const int code = endpoints.error().code();
        if (code == ENOENT) return; // no pins: no entries
        if (code != EPROTO) return problems.note(endpoints);
        // Another version's map holds nothing that this build wrote.
        context.remark("endpoints left as they are: " + endpoints.error().sentence());
        return;
    }
    if (link) problems.note(endpoints->withdraw_link(link->index));
    for (const Ip &address : addresses) problems.note(endpoints->withdraw(host, address, link ? link->index : 0));
    // Nothing left that names the address: what the vanished veth has left is among the dead entries.
    if (!link && addresses.empty()) problems.note(endpoints->sweep(host));
}

} // namespace

Done del(const Context &context) {
    Problems problems;
    const auto ipam = make_ipam(context);
    auto host = net::NlSocket::open();
    if (!host) return refuse(kKernelRefused, std::move(host));

    auto found = net::find_link(*host, host_ifname(context.attachment()));
    problems.note(found);
    std::optional<net::Link> link = found ? *found : std::nullopt;
    if (link && !is_host_end_of(*link, context.conf.name, context.attachment())) {
        context.remark(link->name + " is not of this attachment: left as it is (\"" + link->alias + "\")");
        link.reset();
    }
    withdraw(context, *host, link, candidate_addresses(context, *ipam), problems);
    problems.note(reached("del-endpoint"));
    if (link) problems.note(delete_veth(*host, link->index));
    problems.note(reached("del-veth"));
    // Given back last, so that the address's next holder meets nothing of ours; and not while the veth still has it.
    if (problems.none()) problems.note(ipam->del());
    return std::move(problems).done();
}

} // namespace weft::cni
