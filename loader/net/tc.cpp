// SPDX-License-Identifier: Apache-2.0
#include "net/tc.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "net/attr.hpp"

namespace weft::net {
namespace {

std::uint32_t parent(TcHook hook) {
    return TC_H_MAKE(TC_H_CLSACT, hook == TcHook::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

/// tcm_info: the priority above, the protocol (wire order) below.
std::uint32_t filter_info(std::uint16_t priority) { return TC_H_MAKE(std::uint32_t{priority} << 16, htons(ETH_P_ALL)); }

std::string describe(const TcPlace &place) {
    return fmt::format("{} of link {}", place.hook == TcHook::ingress ? "ingress" : "egress", place.ifindex);
}

NlMsg filter_request(int type, int flags, const TcPlace &place) {
    auto msg = make_request(type, flags);
    attr::put_header(*msg, tcmsg{.tcm_family = AF_UNSPEC,
                                 .tcm_ifindex = place.ifindex,
                                 .tcm_handle = place.handle,
                                 .tcm_parent = parent(place.hook),
                                 .tcm_info = filter_info(place.priority)});
    attr::put(*msg, TCA_KIND, std::string("bpf"));
    return msg;
}

std::optional<TcProgram> parse_program(nlmsghdr &msg, TcHook hook) {
    if (msg.nlmsg_type != RTM_NEWTFILTER) return std::nullopt;
    const attr::Attrs<TCA_MAX> attrs(msg, sizeof(tcmsg));
    const auto &header = *static_cast<tcmsg *>(nlmsg_data(&msg));
    // Before its filters a dump names the bare priority, with handle 0.
    if (!attrs.valid() || attrs.text(TCA_KIND) != "bpf" || header.tcm_handle == 0) return std::nullopt;
    const attr::Attrs<TCA_BPF_MAX> options(attrs.at(TCA_OPTIONS));
    return TcProgram{.place = {.ifindex = header.tcm_ifindex,
                               .hook = hook,
                               .priority = static_cast<std::uint16_t>(header.tcm_info >> 16),
                               .handle = header.tcm_handle},
                     .name = options.text(TCA_BPF_NAME),
                     .program_id = options.u32(TCA_BPF_ID),
                     .direct_action = (options.u32(TCA_BPF_FLAGS) & TCA_BPF_FLAG_ACT_DIRECT) != 0};
}

} // namespace

Status ensure_clsact(NlSocket &sock, int ifindex) {
    auto msg = make_request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
    attr::put_header(*msg, tcmsg{.tcm_family = AF_UNSPEC,
                                 .tcm_ifindex = ifindex,
                                 .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
                                 .tcm_parent = TC_H_CLSACT});
    attr::put(*msg, TCA_KIND, std::string("clsact"));
    auto added = sock.request(*msg, fmt::format("add clsact to link {}", ifindex));
    if (!added && added.error().code() == EEXIST) return {};
    return added;
}

Status attach_program(NlSocket &sock, const TcPlace &place, int program_fd, std::string_view name) {
    auto msg = filter_request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, place);
    {
        const attr::Nest options(*msg, TCA_OPTIONS);
        attr::put(*msg, TCA_BPF_FD, static_cast<std::uint32_t>(program_fd));
        attr::put(*msg, TCA_BPF_NAME, std::string(name));
        attr::put(*msg, TCA_BPF_FLAGS, std::uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
    }
    return sock.request(*msg, fmt::format("attach {} to {}", name, describe(place)));
}

Result<bool> detach_program(NlSocket &sock, const TcPlace &place) {
    auto msg = filter_request(RTM_DELTFILTER, 0, place);
    auto detached = sock.request(*msg, "detach program from " + describe(place));
    if (detached) return true;
    // EINVAL: no clsact there to look in.
    const int code = detached.error().code();
    if (code == ENOENT || code == ENODEV || code == EINVAL) return false;
    return fail_as_is(std::move(detached));
}

Result<std::vector<TcProgram>> list_programs(NlSocket &sock, int ifindex, TcHook hook) {
    auto msg = make_request(RTM_GETTFILTER, NLM_F_DUMP);
    attr::put_header(*msg, tcmsg{.tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent(hook)});
    return sock.query<TcProgram>(*msg, fmt::format("list filters of link {}", ifindex),
                                 [hook](nlmsghdr &header) { return parse_program(header, hook); });
}

} // namespace weft::net
