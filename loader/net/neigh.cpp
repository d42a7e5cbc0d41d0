// SPDX-License-Identifier: Apache-2.0
#include "net/neigh.hpp"

#include <fmt/format.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "net/attr.hpp"

namespace weft::net {
namespace {

NlMsg neighbour_request(int type, int flags, const Ip &address, ndmsg header) {
    auto msg = make_request(type, flags);
    header.ndm_family = attr::family_of(address);
    attr::put_header(*msg, header);
    attr::put(*msg, NDA_DST, address);
    return msg;
}

Status set(NlSocket &sock, int ifindex, const Ip &address, const Mac &mac, std::uint16_t state) {
    auto msg = neighbour_request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, address,
                                 {.ndm_ifindex = ifindex, .ndm_state = state});
    attr::put(*msg, NDA_LLADDR, mac);
    return sock.request(*msg, fmt::format("set neighbour {} on link {}", address.to_string(), ifindex));
}

} // namespace

std::optional<Neighbour> parse_neighbour(nlmsghdr &msg) {
    if (msg.nlmsg_type != RTM_NEWNEIGH) return std::nullopt;
    const attr::Attrs<NDA_MAX> attrs(msg, sizeof(ndmsg));
    const auto &header = *static_cast<ndmsg *>(nlmsg_data(&msg));
    const auto address = attrs.valid() ? attrs.ip(NDA_DST) : std::nullopt;
    if (!address || !attr::is_ip_family(header.ndm_family) || (header.ndm_flags & NTF_PROXY) != 0) return std::nullopt;
    return Neighbour{
        .ifindex = header.ndm_ifindex, .address = *address, .mac = attrs.mac(NDA_LLADDR), .state = header.ndm_state};
}

bool is_valid(const Neighbour &neighbour) {
    constexpr int kValid = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
    return (neighbour.state & kValid) != 0;
}

Status set_permanent_neighbour(NlSocket &sock, int ifindex, const Ip &address, const Mac &mac) {
    return set(sock, ifindex, address, mac, NUD_PERMANENT);
}

Status suggest_neighbour(NlSocket &sock, int ifindex, const Ip &address, const Mac &mac) {
    return set(sock, ifindex, address, mac, NUD_STALE);
}

Status ask_for_neighbour(NlSocket &sock, int ifindex, const Ip &address) {
    auto msg = neighbour_request(RTM_NEWNEIGH, NLM_F_CREATE, address, {.ndm_ifindex = ifindex, .ndm_flags = NTF_USE});
    return sock.request(*msg, fmt::format("ask for {} on link {}", address.to_string(), ifindex));
}

Status set_proxy_neighbour(NlSocket &sock, int ifindex, const Ip &address) {
    auto msg = neighbour_request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, address,
                                 {.ndm_ifindex = ifindex, .ndm_flags = NTF_PROXY});
    return sock.request(*msg, fmt::format("answer for {} on link {}", address.to_string(), ifindex));
}

Result<std::vector<Neighbour>> list_neighbours(NlSocket &sock, int ifindex) {
    auto msg = make_request(RTM_GETNEIGH, NLM_F_DUMP);
    attr::put_header(*msg, ndmsg{.ndm_family = AF_UNSPEC});
    return sock.query<Neighbour>(*msg, "list neighbours", [ifindex](nlmsghdr &header) {
        auto neighbour = parse_neighbour(header);
        return neighbour && (ifindex == 0 || neighbour->ifindex == ifindex) ? neighbour : std::nullopt;
    });
}

} // namespace weft::net
