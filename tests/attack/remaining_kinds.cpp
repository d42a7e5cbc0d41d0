// SPDX-License-Identifier: Apache-2.0
// What a weft node takes as flannel's does, because nothing in it tells it from an honest node's, or because nobody looks.
#include "kinds.hpp"

namespace weft::attack {
namespace {

Bytes right(Crafter &c) { return c.tunnel(c.forged(), c.inner_pods()); }

const Kind kKinds[] = {
    {.name = "node-address",
     .text = "a node's IP address and MAC from another host of its segment",
     .craft = [](Crafter &c) { return Frames{right(c)}; }},
    {.name = "node-address-elsewhere",
     .text = "a node's IP address from another MAC",
     .craft = [](Crafter &c) { return Frames{c.tunnel(c.misplaced(), c.inner_pods())}; }},
    {.name = "udp-checksum",
     .text = "an outer UDP checksum that is wrong",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             put16(frame, kOuterUdp + 6, static_cast<std::uint16_t>(1 + c.below(0xfffe)));
             return Frames{frame};
         }},
};

} // namespace

std::span<const Kind> remaining_kinds() { return kKinds; }

} // namespace weft::attack
