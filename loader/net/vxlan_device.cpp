// SPDX-License-Identifier: Apache-2.0
#include "net/vxlan_device.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>

#include "net/attr.hpp"

namespace weft::net {
namespace {

std::optional<FoundVxlan> parse_vxlan(nlmsghdr &msg) {
    if (msg.nlmsg_type != RTM_NEWLINK) return std::nullopt;
    const auto &header = *static_cast<const ifinfomsg *>(nlmsg_data(&msg));
    const attr::Attrs<IFLA_MAX> attrs(msg, sizeof(ifinfomsg));
    const attr::Attrs<IFLA_INFO_MAX> info(attrs.at(IFLA_LINKINFO));
    if (!attrs.valid() || !info.valid() || info.text(IFLA_INFO_KIND) != "vxlan") return std::nullopt;
    const attr::Attrs<IFLA_VXLAN_MAX> data(info.at(IFLA_INFO_DATA));
    const auto flag = [&](int type) { return data.at(type) && nla_get_u8(data.at(type)) != 0; };
    return FoundVxlan{
        .ifindex = header.ifi_index,
        .device =
            {
                .name = attrs.text(IFLA_IFNAME),
                .external = flag(IFLA_VXLAN_COLLECT_METADATA),
                .port = data.at(IFLA_VXLAN_PORT) ? ntohs(nla_get_u16(data.at(IFLA_VXLAN_PORT))) : std::uint16_t{0},
                .learning = flag(IFLA_VXLAN_LEARNING),
                .zero_csum6_rx = flag(IFLA_VXLAN_UDP_ZERO_CSUM6_RX),
                .mac = attrs.mac(IFLA_ADDRESS).value_or(Mac{}),
                .mtu = attrs.u32(IFLA_MTU),
                .noarp = (header.ifi_flags & IFF_NOARP) != 0,
                .up = (header.ifi_flags & IFF_UP) != 0,
            },
    };
}

Result<std::vector<FoundVxlan>> list_vxlans(NlSocket &sock) {
    auto msg = make_request(RTM_GETLINK, NLM_F_DUMP);
    attr::put_header(*msg, ifinfomsg{});
    return sock.query<FoundVxlan>(*msg, "list vxlan devices", parse_vxlan);
}

} // namespace

Result<std::optional<FoundVxlan>> find_vxlan(NlSocket &sock, const std::string &name) {
    auto msg = make_request(RTM_GETLINK);
    attr::put_header(*msg, ifinfomsg{});
    attr::put(*msg, IFLA_IFNAME, name);
    auto found = sock.query<FoundVxlan>(*msg, "find vxlan device " + name, parse_vxlan);
    if (!found && found.error().code() == ENODEV) return std::nullopt;
    if (!found) return fail_as_is(std::move(found));
    if (found->empty()) return std::nullopt;
    return found->front();
}

Result<std::optional<std::string>> vxlan_holding_port(NlSocket &sock, std::uint16_t port,
                                                      const std::set<std::string> &except) {
    auto all = list_vxlans(sock);
    if (!all) return fail_as_is(std::move(all));
    const auto holder = std::ranges::find_if(*all, [&](const FoundVxlan &one) {
        return one.device.port == port && one.device.up && !except.contains(one.device.name);
    });
    if (holder == all->end()) return std::nullopt;
    return holder->device.name;
}

Status create_vxlan(NlSocket &sock, const VxlanDevice &device) {
    auto msg = make_request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    attr::put_header(*msg, ifinfomsg{});
    attr::put(*msg, IFLA_IFNAME, device.name);
    attr::put(*msg, IFLA_ADDRESS, device.mac);
    if (device.mtu != 0) attr::put(*msg, IFLA_MTU, device.mtu);
    {
        const attr::Nest info(*msg, IFLA_LINKINFO);
        attr::put(*msg, IFLA_INFO_KIND, std::string("vxlan"));
        const attr::Nest data(*msg, IFLA_INFO_DATA);
        attr::check(nla_put_u16(msg.get(), IFLA_VXLAN_PORT, htons(device.port)));
        attr::check(nla_put_u8(msg.get(), IFLA_VXLAN_LEARNING, device.learning));
        attr::check(nla_put_u8(msg.get(), IFLA_VXLAN_UDP_ZERO_CSUM6_RX, device.zero_csum6_rx));
        if (device.external) attr::check(nla_put_u8(msg.get(), IFLA_VXLAN_COLLECT_METADATA, 1));
    }
    return sock.request(*msg, "make vxlan device " + device.name);
}

} // namespace weft::net
