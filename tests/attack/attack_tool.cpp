// SPDX-License-Identifier: Apache-2.0
// weft_attack: lists the kinds of crafted packets, and writes them into a capture file to look at.
#include <fstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "kinds.hpp"

namespace weft::attack {
namespace {

void list() {
    for (const auto &kind : segment_kinds()) fmt::print("{:28} {}\n", kind.name, kind.text);
    for (const auto &kind : pod_kinds()) fmt::print("pod/{:24} {}\n", kind.name, kind.text);
}

template <class T> void put(std::ofstream &file, T value) {
    file.write(reinterpret_cast<const char *>(&value), sizeof value);
}

/// A capture file of Ethernet frames, in the byte order of this machine, as the format allows.
void write_capture(const std::string &path, const Frames &frames) {
    std::ofstream file(path, std::ios::binary);
    constexpr std::uint32_t kMagic = 0xa1b2c3d4, kSnapLength = 65535, kEthernet = 1;
    put(file, kMagic);
    put(file, std::uint16_t{2});
    put(file, std::uint16_t{4});
    put(file, std::uint64_t{0});
    put(file, kSnapLength);
    put(file, kEthernet);
    std::uint32_t number = 0;
    for (const auto &frame : frames) {
        put(file, number++); // one a second
        put(file, std::uint32_t{0});
        put(file, static_cast<std::uint32_t>(frame.size()));
        put(file, static_cast<std::uint32_t>(frame.size()));
        file.write(reinterpret_cast<const char *>(frame.data()), static_cast<std::streamsize>(frame.size()));
    }
}

Frames make(std::string_view wanted, std::uint32_t count, std::uint64_t seed) {
    Frames all;
    const auto add = [&](const Kind &kind, std::uint16_t number, const std::string &name) {
        if (!wanted.empty() && wanted != name) return;
        Crafter crafter(Scene::example(), number, seed);
        for (std::uint32_t i = 0; i < count; ++i) {
            crafter.start(i);
            for (auto &frame : kind.craft(crafter)) all.push_back(std::move(frame));
        }
    };
    std::uint16_t number = 0;
    for (const auto &kind : segment_kinds()) add(kind, number++, std::string(kind.name));
    number = kFirstPodKind;
    for (const auto &kind : pod_kinds()) add(kind, number++, "pod/" + std::string(kind.name));
    return all;
}

} // namespace
} // namespace weft::attack

int main(int argc, char **argv) {
    CLI::App app{"Crafted packets, as tests/attack sends them, between addresses for documentation"};
    std::string kind, capture;
    std::uint32_t count = 1;
    std::uint64_t seed = 1;
    app.add_option("--kind", kind, "one kind alone");
    app.add_option("--count", count, "packets of a kind");
    app.add_option("--seed", seed);
    app.add_option("--pcap", capture, "write them here; without it the kinds are listed");
    CLI11_PARSE(app, argc, argv);
    if (capture.empty()) {
        weft::attack::list();
        return 0;
    }
    const auto frames = weft::attack::make(kind, count, seed);
    if (frames.empty()) {
        fmt::print(stderr, "weft_attack: there is no kind {}\n", kind);
        return 1;
    }
    weft::attack::write_capture(capture, frames);
    fmt::print("{} frames in {}\n", frames.size(), capture);
}
