// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "cni/context.hpp"
#include "cni/failure.hpp"
#include "cni/result.hpp"

namespace weft::cni {

/// Where a pod's addresses come from: weft's own store or the plugin that the configuration names.
///
/// Contract: add() either gives addresses or leaves nothing allocated; del() may be called any number of times, with or
/// without an add() before.
class Ipam {
public:
    virtual ~Ipam() = default;

    /// An IPAM result: addresses, gateways and routes, no interfaces.
    [[nodiscard]] virtual Outcome<CniResult> add() = 0;
    [[nodiscard]] virtual Done del() = 0;
    [[nodiscard]] virtual Done check() = 0;
    [[nodiscard]] virtual Done status() = 0;
    /// Forgets every attachment of the network that is not valid.
    /// @return the attachments that were forgotten, as far as they are known.
    [[nodiscard]] virtual Outcome<std::vector<Attachment>> gc() = 0;

    /// Addresses that this attachment holds, before del(); none if that is not known.
    [[nodiscard]] virtual std::vector<Ip> known_addresses() = 0;
};

/// The one that `context.conf.ipam` asks for. Borrows the context.
[[nodiscard]] std::unique_ptr<Ipam> make_ipam(const Context &context);

} // namespace weft::cni
