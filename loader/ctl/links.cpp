// SPDX-License-Identifier: Apache-2.0
#include "ctl/links.hpp"

#include <netlink/cache.h>
#include <netlink/route/link.h>

#include "net/netlink.hpp"

namespace weft::ctl {

Result<Links> read_links() {
    auto socket = net::NlSocket::open();
    if (!socket) return fail_as_is(std::move(socket));
    nl_cache *raw = nullptr;
    if (const int err = rtnl_link_alloc_cache(socket->get(), AF_UNSPEC, &raw); err < 0)
        return net::fail_nl(err, "list interfaces");
    const net::NlPtr<nl_cache, nl_cache_free> cache(raw);

    Links links;
    for (nl_object *object = nl_cache_get_first(raw); object != nullptr; object = nl_cache_get_next(object)) {
        auto *link = reinterpret_cast<rtnl_link *>(object); // libnl's own way down from its object type
        const char *alias = rtnl_link_get_ifalias(link);
        links[static_cast<unsigned>(rtnl_link_get_ifindex(link))] = {rtnl_link_get_name(link), alias ? alias : ""};
    }
    return links;
}

std::string link_name(const Links &links, unsigned ifindex) {
    const auto found = links.find(ifindex);
    return found == links.end() ? std::string() : found->second.name;
}

PodAlias parse_pod_alias(std::string_view alias) {
    constexpr std::string_view kPrefix = "weft:";
    if (!alias.starts_with(kPrefix)) return {};
    alias.remove_prefix(kPrefix.size());
    const auto first = alias.find(':');
    const auto last = alias.rfind(':');
    if (first == std::string_view::npos || first == last) return {};
    return {std::string(alias.substr(0, first)), std::string(alias.substr(first + 1, last - first - 1)),
            std::string(alias.substr(last + 1))};
}

} // namespace weft::ctl
