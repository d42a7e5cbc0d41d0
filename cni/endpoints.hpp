// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"
#include "pinned.hpp"

namespace weft::cni {

/// The pinned endpoint map, as the plugin writes it.
///
/// Contract: an entry belongs to the link it names. One is only ever removed by who holds that link, or when that link is
/// no host end of a pod any more, so that a late DEL cannot take away the entry of the address's next holder.
class Endpoints {
public:
    /// Errors: ENOENT if nothing is pinned; EPROTO if the map has another layout.
    [[nodiscard]] static Result<Endpoints> open(const std::filesystem::path &bpf_dir);

    /// Errors: EADDRINUSE if a live pod, other than the one behind link `ifindex`, has the address.
    [[nodiscard]] Status refuse_if_held(net::NlSocket &host, const Ip &address, int ifindex) const;

    /// Writes the entry, replacing a dead one. Errors: EADDRINUSE if another live pod has the address.
    [[nodiscard]] Status publish(net::NlSocket &host, const Ip &address, const weft_endpoint &endpoint) const;

    /// Removes the address's entry if it names `ifindex` or a link that is not there any more. @param ifindex 0: unknown.
    [[nodiscard]] Status withdraw(net::NlSocket &host, const Ip &address, int ifindex) const;

    /// Removes every entry that names this link, and what was allowed to the pod behind it.
    [[nodiscard]] Status withdraw_link(int ifindex) const;

    /// Removes every entry whose link is not there any more.
    [[nodiscard]] Status sweep(net::NlSocket &host) const;

    /// Lets the pod behind the link use these sources beside its own, and no others. @param any every one
    [[nodiscard]] Status allow(int ifindex, const std::vector<Net> &sources, bool any) const;
    /// Whether allow() was called with these last.
    [[nodiscard]] bool allows(int ifindex, const std::vector<Net> &sources, bool any) const;

    [[nodiscard]] Result<std::optional<weft_endpoint>> find(const Ip &address) const {
        return map_->get(abi::ip(address));
    }

private:
    Endpoints(maps::EndpointMap map, std::optional<maps::AllowedMap> allowed)
        : map_(std::move(map)), allowed_(std::move(allowed)) {}
    [[nodiscard]] std::vector<weft_allowed_key> allowed_to(int ifindex) const;

    maps::EndpointMap map_;
    std::optional<maps::AllowedMap> allowed_; ///< none beside a weftd of before there was one
};

} // namespace weft::cni
