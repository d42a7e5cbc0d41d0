// SPDX-License-Identifier: Apache-2.0
// Sampled drops in the ring buffer: what an operator can see of a packet that is gone.
#include "harness.hpp"

#include <cstring>

namespace weft::prog_run {
namespace {

struct RingFree {
    void operator()(ring_buffer *ring) const { ring_buffer__free(ring); }
};

int collect(void *into, void *data, std::size_t size) {
    weft_event event{};
    if (size == sizeof(event)) std::memcpy(&event, data, size);
    static_cast<std::vector<weft_event> *>(into)->push_back(event);
    return 0;
}

TEST(Events, ADropIsSampledWithTheHeadOfThePacket) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    std::vector<weft_event> events;
    const int fd = programs.events_fd();
    const std::unique_ptr<ring_buffer, RingFree> ring(ring_buffer__new(fd, collect, &events, nullptr));
    ASSERT_TRUE(ring);
    ring_buffer__consume(ring.get()); // of earlier tests
    events.clear();

    Outer from_stranger;
    from_stranger.src = world::kStranger;
    const auto packet =
        tunnel(ip(world::kPeerPod, world::kPod) / tcp() / Tins::RawPDU(std::string(100, 'x')), from_stranger);
    // One in 64 is sampled: 2,000 without one would be a chance of 1 in 10^13.
    for (int i = 0; i < 2000 && events.empty(); ++i) {
        for (const auto hook : {WEFT_HOOK_FROM_WIRE, WEFT_HOOK_XDP_WIRE}) (void)programs.run(hook, packet);
        ring_buffer__consume(ring.get());
    }
    ASSERT_FALSE(events.empty());
    const auto &event = events.front();
    EXPECT_EQ(static_cast<weft_reason>(event.reason), WEFT_R_UNKNOWN_SENDER);
    EXPECT_TRUE(event.hook == WEFT_HOOK_FROM_WIRE || event.hook == WEFT_HOOK_XDP_WIRE);
    EXPECT_EQ(event.length, packet.size());
    ASSERT_EQ(event.snapped, WEFT_EVENT_SNAP);
    EXPECT_EQ(std::memcmp(event.packet, packet.data(), WEFT_EVENT_SNAP), 0);
    EXPECT_NE(event.time_ns, 0U);
}

} // namespace
} // namespace weft::prog_run
