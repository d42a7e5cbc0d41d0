// SPDX-License-Identifier: Apache-2.0
// Packets that the "hardware" is to finish: segmented, joined, summed up. Whatever a pod, a node or the wire has switched on or
// off, what arrives is what was sent.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "side_by_side.hpp"

namespace weft::test {
namespace {

class Offload : public SideBySide {
protected:
    void SetUp() override {
        SideBySide::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        build(false);
    }
};

TEST_P(Offload, UdpInSegmentsArrivesAsDatagrams) {
    struct Way {
        const char *name;
        const Pod *from, *to;
    };
    const Way ways[] = {{"weft to weft", weft_.pod, weft_.peer},
                        {"weft, same node", weft_.pod, weft_.neighbour},
                        {"weft to flannel", weft_.pod, flannel_.peer},
                        {"flannel to weft", flannel_.pod, weft_.peer},
                        {"flannel to flannel", flannel_.pod, flannel_.peer}};
    for (const auto &[name, from, to] : ways) {
        for (const auto port : {kTrafficPort, kJoiningEchoPort}) {
            for (const auto &[bytes, segment] :
                 {std::pair<std::size_t, std::uint16_t>{60000, 1400}, {2801, 1400}, {1422 * 40, 1422}, {6400, 100}}) {
                SCOPED_TRACE(fmt::format("{}, port {}, {} bytes by {}", name, port, bytes, segment));
                WEFT_EXPECT_OK(udp_segmented_echo(from->ns, to->address, bytes, segment, 3, port));
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, Offload, kEverySetup, setup_name);

} // namespace
} // namespace weft::test
