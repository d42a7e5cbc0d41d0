// SPDX-License-Identifier: Apache-2.0
// What the kernel decapsulated. BPF_PROG_RUN cannot give a packet tunnel metadata, so the table has what lacks it; the rest is
// tested with real packets in tests/netns.
#include "harness.hpp"

namespace weft::prog_run {
namespace {

TEST(FromTunnel, APacketWithoutTunnelMetadataIsDropped) {
    expect_row(WEFT_HOOK_FROM_TUNNEL,
               {"", bytes_of(eth(world::kVtepMac, world::kPeerVtepMac) / ip(world::kPeerPod, world::kPod) / tcp()),
                "no_tunnel_key"});
}

} // namespace
} // namespace weft::prog_run
