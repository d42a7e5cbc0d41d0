// SPDX-License-Identifier: Apache-2.0
#include "net/link.hpp"

#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "net/attr.hpp"

namespace weft::net {
namespace {

/// IFLA_NETKIT_PEER_INFO, IFLA_NETKIT_MODE and NETKIT_L2 of Linux 6.7: newer than the headers of Debian 12.
constexpr int kNetkitPeer = 1, kNetkitMode = 5;
constexpr std::uint32_t kNetkitL2 = 0;

std::optional<Link> parse_link(nlmsghdr &msg) {
    if (msg.nlmsg_type != RTM_NEWLINK) return std::nullopt;
    const attr::Attrs<IFLA_MAX> attrs(msg, sizeof(ifinfomsg));
    if (!attrs.valid()) return std::nullopt;
    const auto &info = *static_cast<ifinfomsg *>(nlmsg_data(&msg));
    const attr::Attrs<IFLA_INFO_MAX> kind(attrs.at(IFLA_LINKINFO));
    return Link{
        .index = info.ifi_index,
        .name = attrs.text(IFLA_IFNAME),
        .kind = kind.text(IFLA_INFO_KIND),
        .alias = attrs.text(IFLA_IFALIAS),
        .mac = attrs.mac(IFLA_ADDRESS).value_or(Mac{}),
        .mtu = attrs.u32(IFLA_MTU),
        .flags = info.ifi_flags,
        .hardware = info.ifi_type,
        .link = static_cast<int>(attrs.u32(IFLA_LINK)),
        .link_netns = static_cast<int>(attrs.u32(IFLA_LINK_NETNSID, static_cast<std::uint32_t>(-1))),
        .master = static_cast<int>(attrs.u32(IFLA_MASTER)),
    };
}

/// Asks for one link; "no such device" is an outcome.
Result<std::optional<Link>> get_link(NlSocket &sock, int index, std::string_view name, int netns = -1) {
    auto msg = make_request(RTM_GETLINK);
    attr::put_header(*msg, ifinfomsg{.ifi_index = index});
    if (index == 0) attr::put(*msg, IFLA_IFNAME, std::string(name));
    if (netns >= 0) attr::put(*msg, IFLA_TARGET_NETNSID, static_cast<std::uint32_t>(netns));
    auto links =
        sock.query<Link>(*msg, fmt::format("read link {}", index == 0 ? name : std::to_string(index)), parse_link);
    if (!links && links.error().code() == ENODEV) return std::nullopt;
    if (!links) return fail_as_is(std::move(links));
    if (links->empty()) return std::nullopt;
    return std::move(links->front());
}

} // namespace

Result<std::optional<Link>> find_link(NlSocket &sock, std::string_view name) {
    // The kernel refuses an overlong name as invalid; here it is only a link that cannot exist.
    if (name.empty() || name.size() >= IFNAMSIZ) return std::nullopt;
    return get_link(sock, 0, name);
}

Result<std::optional<Link>> find_link(NlSocket &sock, int index) {
    if (index <= 0) return std::nullopt;
    return get_link(sock, index, {});
}

Result<std::vector<Link>> list_links(NlSocket &sock) {
    auto msg = make_request(RTM_GETLINK, NLM_F_DUMP);
    attr::put_header(*msg, ifinfomsg{.ifi_family = AF_UNSPEC});
    return sock.query<Link>(*msg, "list links", parse_link);
}

Result<std::optional<Link>> find_peer(NlSocket &sock, const Link &end) {
    if (end.link <= 0) return std::nullopt;
    return get_link(sock, end.link, {}, end.link_netns);
}

Status create_pair(NlSocket &sock, const PairSpec &spec) {
    const bool netkit = spec.kind == "netkit";
    auto msg = make_request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    attr::put_header(*msg, ifinfomsg{});
    attr::put(*msg, IFLA_IFNAME, spec.name);
    if (spec.mac != Mac{}) attr::put(*msg, IFLA_ADDRESS, spec.mac);
    if (spec.mtu != 0) attr::put(*msg, IFLA_MTU, spec.mtu);
    {
        const attr::Nest info(*msg, IFLA_LINKINFO);
        attr::put(*msg, IFLA_INFO_KIND, spec.kind);
        const attr::Nest data(*msg, IFLA_INFO_DATA);
        if (netkit) attr::put(*msg, kNetkitMode, kNetkitL2);
        const attr::Nest peer(*msg, netkit ? kNetkitPeer : VETH_INFO_PEER);
        attr::put_header(*msg, ifinfomsg{});
        attr::put(*msg, IFLA_IFNAME, spec.peer_name);
        if (spec.peer_mac != Mac{}) attr::put(*msg, IFLA_ADDRESS, spec.peer_mac);
        attr::put(*msg, IFLA_NET_NS_FD, static_cast<std::uint32_t>(spec.peer_netns_fd));
        if (spec.mtu != 0) attr::put(*msg, IFLA_MTU, spec.mtu);
    }
    return sock.request(*msg, fmt::format("create {} {} to {}", spec.kind, spec.name, spec.peer_name));
}

Status change_link(NlSocket &sock, int index, const LinkChange &change) {
    ifinfomsg info{.ifi_index = index};
    const auto set_flag = [&](std::optional<bool> wanted, unsigned flag) {
        if (!wanted) return;
        info.ifi_change |= flag;
        if (*wanted) info.ifi_flags |= flag;
    };
    set_flag(change.up, IFF_UP);
    set_flag(change.noarp, IFF_NOARP);
    auto msg = make_request(RTM_SETLINK);
    attr::put_header(*msg, info);
    if (change.mtu) attr::put(*msg, IFLA_MTU, *change.mtu);
    if (change.mac) attr::put(*msg, IFLA_ADDRESS, *change.mac);
    if (change.alias) attr::put(*msg, IFLA_IFALIAS, *change.alias);
    if (change.arp_notify) {
        const attr::Nest families(*msg, IFLA_AF_SPEC);
        const attr::Nest inet(*msg, AF_INET);
        const attr::Nest conf(*msg, IFLA_INET_CONF);
        attr::put(*msg, IPV4_DEVCONF_ARP_NOTIFY, *change.arp_notify ? 1U : 0U);
    }
    return sock.request(*msg, fmt::format("change link {}", index));
}

Result<bool> delete_link(NlSocket &sock, int index) {
    auto msg = make_request(RTM_DELLINK);
    attr::put_header(*msg, ifinfomsg{.ifi_index = index});
    auto deleted = sock.request(*msg, fmt::format("delete link {}", index));
    if (deleted) return true;
    if (deleted.error().code() == ENODEV) return false;
    return fail_as_is(std::move(deleted));
}

} // namespace weft::net
