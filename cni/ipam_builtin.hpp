// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cni/ipam.hpp"
#include "cni/ipam_store.hpp"

namespace weft::cni {

/// The built-in IPAM: an address of each of this node's subnets, out of host-local's files.
class BuiltinIpam final : public Ipam {
public:
    explicit BuiltinIpam(const Context &context);

    Outcome<CniResult> add() override;
    Done del() override;
    Done check() override;
    Done status() override;
    Outcome<std::vector<Attachment>> gc() override;
    std::vector<Ip> known_addresses() override;

private:
    const Context &context_;
    IpamStore store_;
};

} // namespace weft::cni
