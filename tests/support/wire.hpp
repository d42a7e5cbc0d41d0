// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "netns.hpp"

namespace weft::test {

/// How much of a packet is left to the "hardware" of a veth wire.
enum class WireMode {
    offload, ///< as veth comes: 64 KiB packets cross whole, checksums half done
    framed,  ///< MTU-sized frames, checksums still half done: a NIC without tunnel segmentation
    bare,    ///< MTU-sized frames with full checksums: what is really on a cable
};
[[nodiscard]] std::string_view name_of(WireMode mode);

/// Makes a veth pair with one end in each namespace, both up.
Status connect(const Netns &a, std::string_view a_interface, const Netns &b, std::string_view b_interface);

/// Sets the offloads of one interface for `mode`. Both ends of a wire need it.
Status set_wire_mode(const Netns &ns, std::string_view interface, WireMode mode);

/// An Ethernet segment: a switch (a bridge in a namespace of its own) that any number of nodes is plugged into.
///
/// Contract: every port, and the nodes' ends plugged in so far or later, follow the segment's wire mode.
class Segment {
public:
    [[nodiscard]] static Result<Segment> create(std::string_view name, WireMode mode = WireMode::offload);

    /// Plugs `node` in: `interface` appears there, up, with `address` ("192.0.2.1/24"; empty: none).
    Status plug(const Netns &node, std::string_view interface, std::string_view address);
    /// Changes the wire of every port, running traffic or not.
    Status set_mode(WireMode mode);
    [[nodiscard]] WireMode mode() const { return mode_; }
    [[nodiscard]] const Netns &netns() const { return ns_; }
    /// The switch's own end of the wire of the n-th plugged node, counted from 0: the place to capture or to cut.
    [[nodiscard]] static std::string port(std::size_t n) { return "port" + std::to_string(n); }

private:
    struct Plug {
        std::string node_netns, interface;
    };
    Segment(Netns ns, WireMode mode) : ns_(std::move(ns)), mode_(mode) {}
    Netns ns_;
    WireMode mode_;
    std::vector<Plug> plugs_;
};

} // namespace weft::test
