// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "base/error.hpp"
#include "daemon/diff.hpp"
#include "datapath/datapath.hpp"
#include "datapath/map_ledger.hpp"

namespace weft {

/// The maps of leases, nodes and prefix lengths, as weftd reads and writes them.
class LeaseMaps {
public:
    /// @param part as Kernel::read_maps()
    [[nodiscard]] static Result<MapState> read(const Datapath &datapath, const MapPart *part);

    [[nodiscard]] Status write(const Datapath &datapath, const SetPrefixLens &action);
    [[nodiscard]] Status write(const Datapath &datapath, const PutNode &action);
    [[nodiscard]] Status write(const Datapath &datapath, const RemoveNode &action);
    [[nodiscard]] Status write(const Datapath &datapath, const PutLease &action);
    [[nodiscard]] Status write(const Datapath &datapath, const RemoveLease &action);

    /// Many of one kind in a few system calls. Where that fails, some may have been put.
    [[nodiscard]] Status put_nodes(const Datapath &datapath, std::span<const Action> puts);
    [[nodiscard]] Status put_leases(const Datapath &datapath, std::span<const Action> puts);

    /// See MapLedger.
    [[nodiscard]] std::uint64_t without_ours(std::uint64_t fingerprint) const {
        return ledger_.without_ours(fingerprint);
    }

private:
    datapath::MapLedger ledger_;
};

} // namespace weft
