// SPDX-License-Identifier: Apache-2.0
#include "ctl/attachments.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/unique_fd.hpp"
#include "datapath/tc_attach.hpp"

namespace weft::ctl {
namespace {

std::string program_name(std::uint32_t id) {
    const UniqueFd fd(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 len = sizeof(info);
    if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &len) != 0) return {};
    return info.name;
}

std::optional<std::uint32_t> attached_xdp(unsigned ifindex) {
    __u32 id = 0;
    if (bpf_xdp_query_id(static_cast<int>(ifindex), 0, &id) != 0 || id == 0) return std::nullopt;
    return id;
}

Status add_of_link(unsigned ifindex, const std::string &ifname, std::vector<Attachment> &found) {
    const auto add = [&](const char *hook, std::uint32_t id) {
        found.push_back({.ifindex = ifindex, .ifname = ifname, .hook = hook, .program = program_name(id), .id = id});
    };
    std::optional<std::uint32_t> by_hook[2];
    for (const auto hook : {datapath::TcHook::ingress, datapath::TcHook::egress}) {
        auto id = datapath::attached_tc(static_cast<int>(ifindex), hook);
        if (!id && id.error().code() == ENODEV) return {};
        if (!id) return fail_as_is(std::move(id));
        by_hook[hook == datapath::TcHook::egress] = *id;
    }
    // The uplink has a tc program whatever its mode; other interfaces' XDP programs are nobody's business here.
    if (by_hook[0])
        if (const auto id = attached_xdp(ifindex)) add("xdp", *id);
    if (by_hook[0]) add("tc ingress", *by_hook[0]);
    if (by_hook[1]) add("tc egress", *by_hook[1]);
    return {};
}

} // namespace

Result<std::vector<Attachment>> read_attachments(const Links &links) {
    std::vector<unsigned> order;
    for (const auto &[ifindex, link] : links) order.push_back(ifindex);
    std::ranges::sort(order);
    std::vector<Attachment> found;
    for (const unsigned ifindex : order)
        if (auto added = add_of_link(ifindex, links.at(ifindex).name, found); !added)
            return fail_in(std::move(added), "attached programs");
    return found;
}

} // namespace weft::ctl
