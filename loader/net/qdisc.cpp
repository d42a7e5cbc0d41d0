// SPDX-License-Identifier: Apache-2.0
#include "net/qdisc.hpp"

#include <linux/rtnetlink.h>

#include "net/attr.hpp"

namespace weft::net {

bool shapes(std::string_view kind) { return kind != "noqueue" && kind != "clsact"; }

Result<std::vector<Qdisc>> list_qdiscs(NlSocket &sock) {
    auto msg = make_request(RTM_GETQDISC, NLM_F_DUMP);
    attr::put_header(*msg, tcmsg{.tcm_family = AF_UNSPEC});
    return sock.query<Qdisc>(*msg, "list qdiscs", [](nlmsghdr &header) -> std::optional<Qdisc> {
        if (header.nlmsg_type != RTM_NEWQDISC) return std::nullopt;
        const attr::Attrs<TCA_MAX> attrs(header, sizeof(tcmsg));
        if (!attrs.valid()) return std::nullopt;
        const auto &info = *static_cast<tcmsg *>(nlmsg_data(&header));
        return Qdisc{.ifindex = info.tcm_ifindex, .kind = attrs.text(TCA_KIND), .parent = info.tcm_parent};
    });
}

} // namespace weft::net
