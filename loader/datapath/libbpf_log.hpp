// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weft::datapath {

/// Sends libbpf's and libxdp's messages to the log, one level quieter than they are meant: what matters comes back as an
/// error from the call, and both libraries warn about attempts whose failure is expected (a hook that is there already).
void route_libbpf_log();

} // namespace weft::datapath
