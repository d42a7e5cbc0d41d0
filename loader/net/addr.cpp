// SPDX-License-Identifier: Apache-2.0
#include "net/addr.hpp"

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "net/attr.hpp"

namespace weft::net {
namespace {

NlMsg address_request(int type, int flags, int ifindex, const Net &address) {
    auto msg = make_request(type, flags);
    attr::put_header(*msg, ifaddrmsg{.ifa_family = attr::family_of(address.address()),
                                     .ifa_prefixlen = static_cast<std::uint8_t>(address.prefix_length()),
                                     .ifa_scope = RT_SCOPE_UNIVERSE,
                                     .ifa_index = static_cast<std::uint32_t>(ifindex)});
    attr::put(*msg, IFA_LOCAL, address.address());
    attr::put(*msg, IFA_ADDRESS, address.address());
    return msg;
}

std::optional<LinkAddress> parse_address(nlmsghdr &msg) {
    if (msg.nlmsg_type != RTM_NEWADDR) return std::nullopt;
    const attr::Attrs<IFA_MAX> attrs(msg, sizeof(ifaddrmsg));
    const auto &header = *static_cast<ifaddrmsg *>(nlmsg_data(&msg));
    if (!attrs.valid() || !attr::is_ip_family(header.ifa_family)) return std::nullopt;
    // IFA_ADDRESS is the peer's where there is one; an IPv6 address without has no IFA_LOCAL.
    const auto local = attrs.ip(attrs.at(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS);
    if (!local) return std::nullopt;
    return LinkAddress{.ifindex = static_cast<int>(header.ifa_index),
                       .address = Net(*local, header.ifa_prefixlen),
                       .scope = header.ifa_scope,
                       .flags = attrs.u32(IFA_FLAGS, header.ifa_flags)};
}

} // namespace

Status set_address(NlSocket &sock, int ifindex, const Net &address) {
    auto msg = address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, address);
    if (!address.is_v4())
        attr::put(*msg, IFA_FLAGS,
                  std::uint32_t{IFA_F_NODAD} | (address == host_net(address.address()) ? IFA_F_NOPREFIXROUTE : 0U));
    return sock.request(*msg, fmt::format("add address {} to link {}", address.to_string(), ifindex));
}

Result<bool> remove_address(NlSocket &sock, int ifindex, const Net &address) {
    auto msg = address_request(RTM_DELADDR, 0, ifindex, address);
    auto removed = sock.request(*msg, fmt::format("remove address {} from link {}", address.to_string(), ifindex));
    if (removed) return true;
    if (removed.error().code() == EADDRNOTAVAIL || removed.error().code() == ENODEV) return false;
    return fail_as_is(std::move(removed));
}

Result<std::vector<LinkAddress>> list_addresses(NlSocket &sock, int ifindex) {
    auto msg = make_request(RTM_GETADDR, NLM_F_DUMP);
    attr::put_header(*msg, ifaddrmsg{.ifa_family = AF_UNSPEC});
    // The kernel filters by link only with strict checking (5.0); filtering here does on every kernel.
    return sock.query<LinkAddress>(*msg, "list addresses", [ifindex](nlmsghdr &header) {
        auto address = parse_address(header);
        return address && (ifindex == 0 || address->ifindex == ifindex) ? address : std::nullopt;
    });
}

} // namespace weft::net
