// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft::test {

/// One kind of flow: who carries it, and as whom the server sees the client. The same for TCP and UDP, for every wire,
/// for every place of the pop and for every rule system. docs/packet-paths.md shows this table.
///
/// Client pod and client host are on node 1; an outside client talks to node 1 or node 2.
struct PacketPath {
    std::string_view from; ///< pod, host, outside
    std::string_view to;   ///< what the client addresses
    std::string_view pod; ///< where the serving pod is: "node 1", "node 2", "itself" (the client); empty: no pod serves
    std::string_view seen; ///< the client as the server sees it; in brackets: why there is no flow
    /// Each weft program on the way and what it counts, in order: "1 from_pod/encap, 2 from_wire/decap_to_pod". Everything
    /// else on the way is the host stack's.
    std::string_view request, answer;
};
[[nodiscard]] std::span<const PacketPath> packet_paths();

/// "1 from_pod/encap": the number of the node and the counter there.
struct Step {
    char node = '?';
    std::string counter;
};
[[nodiscard]] std::vector<Step> steps_of(std::string_view path);

/// "fast" or "stack" for each node on the way, in order: whether the host's stack there sees the packets. "stack" where no
/// program is on the way.
[[nodiscard]] std::string carried_by(std::string_view path);

/// The table in Markdown, as docs/packet-paths.md has it.
[[nodiscard]] std::string packet_paths_markdown();

} // namespace weft::test
