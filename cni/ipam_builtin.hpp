// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "cni/ipam.hpp"
#include "cni/ipam_store.hpp"
#include "cni/reservation_note.hpp"

namespace weft::cni {

/// The built-in IPAM: an address of each of this node's subnets, out of host-local's files. What it reserves is noted where
/// weftd looks, and the note is locked for the object's life.
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
    void take_note();

    const Context &context_;
    IpamStore store_;
    std::optional<ReservationNote> note_;
};

} // namespace weft::cni
