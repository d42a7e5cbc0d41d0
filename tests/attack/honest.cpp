// SPDX-License-Identifier: Apache-2.0
#include "honest.hpp"

namespace weft::attack {

Honest honest_between(const Scene &scene, const Party &from, const Party &to, bool tunnelled, std::uint32_t first) {
    Crafter crafter(scene, kHonestKind, first);
    Honest honest;
    const auto add = [&](bool v4, const Ip &source, const Ip &destination) {
        for (const auto carry : {Carry::udp, Carry::reset, Carry::echo}) {
            const auto number = first + static_cast<std::uint32_t>(honest.frames.size());
            crafter.start(number);
            honest.numbers.insert(number);
            const auto packet = crafter.packet(source, destination, carry);
            const Way way{from.mac, to.mac, from.node_of(v4), to.node_of(v4)};
            honest.frames.push_back(tunnelled
                                        ? crafter.tunnel(way, Crafter::ethernet_ip(v4 ? to.vtep : to.vtep6,
                                                                                   v4 ? from.vtep : from.vtep6, packet))
                                        : Crafter::ethernet_ip(to.mac, from.mac, packet));
        }
    };
    for (const bool v4 : {true, false}) {
        add(v4, from.pod_of(v4), to.pod_of(v4));
        if (tunnelled)
            add(v4, from.pod_of(v4), v4 ? to.base : to.base6);
        else
            add(v4, from.node_of(v4), to.node_of(v4));
    }
    return honest;
}

Honest honest_from_pod(const Scene &scene, std::uint32_t first) {
    Crafter crafter(scene, kHonestKind, first);
    Honest honest;
    const auto add = [&](const Ip &to, Carry carry) {
        const auto number = first + static_cast<std::uint32_t>(honest.frames.size());
        crafter.start(number);
        honest.numbers.insert(number);
        honest.frames.push_back(crafter.from_pod(crafter.packet(scene.victim.pod_of(to.is_v4()), to, carry)));
    };
    for (const auto carry : {Carry::udp, Carry::reset, Carry::echo}) {
        for (const auto &to : {scene.neighbour, scene.neighbour6, scene.peer.pod, scene.peer.pod6, scene.victim.base,
                               scene.victim.base6, scene.peer.base, scene.peer.base6})
            add(to, carry);
        if (carry != Carry::reset) add(scene.world, carry); // a reset of no connection is not masqueraded
    }
    return honest;
}

} // namespace weft::attack
