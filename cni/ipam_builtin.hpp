// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cni/ipam.hpp"
#include "cni/ipam_store.hpp"

namespace weft::cni {

/// The built-in IPAM: this node's subnet out of host-local's files.
class BuiltinIpam final : public Ipam {
public:
    explicit BuiltinIpam(const Context &context);

    Outcome<CniResult> add() override;
    Done del() override;
    Done check() override;
    Done status() override;
    Outcome<std::vector<Attachment>> gc() override;
    std::vector<Ip4> known_addresses() override;

private:
    const Context &context_;
    IpamStore store_;
};

} // namespace weft::cni
