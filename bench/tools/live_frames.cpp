// SPDX-License-Identifier: Apache-2.0
// A packet generator inside the kernel: BPF_PROG_RUN with BPF_F_TEST_XDP_LIVE_FRAMES sends one frame again and again out of
// an interface. On a veth the peer receives each batch before the next is sent (its NAPI runs on the same CPU), so nothing is
// lost for lack of room: what arrives is what one CPU can receive.
//
//   live_frames --interface eth0 --frame HEX --seconds S      prints one JSON object
#include <CLI/CLI.hpp>
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <net/if.h>

#include <chrono>
#include <cstring>
#include <system_error>
#include <vector>

#include "base/unique_fd.hpp"

namespace {

using weft::UniqueFd;
using Clock = std::chrono::steady_clock;

constexpr unsigned kBatch = 64;
constexpr unsigned kFramesPerRun = kBatch * 1024;

constexpr bpf_insn insn(int code, int dst, int src, int off, std::int32_t imm) {
    return {.code = static_cast<__u8>(code),
            .dst_reg = static_cast<__u8>(dst & 0xf),
            .src_reg = static_cast<__u8>(src & 0xf),
            .off = static_cast<__s16>(off),
            .imm = imm};
}

/// Writes the whole frame and redirects it. Pages are recycled as the last receiver left them, headers popped and rewritten,
/// so a frame that is written once by the kernel would be another one the second time.
std::vector<bpf_insn> program(const std::vector<std::uint8_t> &frame, unsigned ifindex) {
    const auto words = static_cast<int>(frame.size() / sizeof(std::uint32_t));
    std::vector<bpf_insn> code{
        insn(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(xdp_md, data), 0),
        insn(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(xdp_md, data_end), 0),
        insn(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
        insn(BPF_ALU64 | BPF_ADD, 4, 0, 0, static_cast<std::int32_t>(frame.size())),
        insn(BPF_JMP | BPF_JGT | BPF_X, 4, 3, words, 0),
    };
    for (int i = 0; i < words; ++i) {
        std::int32_t word = 0;
        std::memcpy(&word, frame.data() + static_cast<std::size_t>(i) * sizeof word, sizeof word);
        code.push_back(insn(BPF_ST | BPF_MEM | BPF_W, 2, 0, i * 4, word));
    }
    code.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, static_cast<std::int32_t>(ifindex)));
    code.push_back(insn(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0));
    code.push_back(insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect));
    code.push_back(insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
    return code;
}

std::vector<std::uint8_t> bytes_of(const std::string &hex) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

int fail(const char *what, int err) {
    fmt::print(stderr, "live_frames: {}: {}\n", what, std::generic_category().message(err));
    return 1;
}

int generate(const std::string &interface, const std::vector<std::uint8_t> &frame, double seconds) {
    const unsigned ifindex = if_nametoindex(interface.c_str());
    if (!ifindex) return fail(interface.c_str(), errno);
    const auto code = program(frame, ifindex);
    const UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "live_frames", "GPL", code.data(), code.size(), nullptr));
    if (!fd) return fail("load", errno);
    xdp_md ctx{.data_end = static_cast<__u32>(frame.size()), .ingress_ifindex = ifindex};
    bpf_test_run_opts opts{};
    opts.sz = sizeof opts;
    opts.data_in = frame.data();
    opts.data_size_in = static_cast<__u32>(frame.size());
    opts.ctx_in = &ctx;
    opts.ctx_size_in = sizeof ctx;
    opts.repeat = kFramesPerRun;
    opts.batch_size = kBatch;
    opts.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    const auto begin = Clock::now();
    const auto end = begin + std::chrono::duration<double>(seconds);
    std::uint64_t sent = 0;
    for (; Clock::now() < end; sent += kFramesPerRun)
        if (const int err = bpf_prog_test_run_opts(fd.get(), &opts); err != 0) return fail("BPF_PROG_RUN", -err);
    fmt::print("{{\"sent\": {}, \"seconds\": {:.6f}}}\n", sent,
               std::chrono::duration<double>(Clock::now() - begin).count());
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    CLI::App app{"sends one frame again and again, from inside the kernel"};
    std::string interface, hex;
    double seconds = 1;
    app.add_option("--interface", interface, "where it leaves")->required();
    app.add_option("--frame", hex, "the whole frame, in hexadecimal; its length a multiple of 4")->required();
    app.add_option("--seconds", seconds, "how long")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    const auto frame = bytes_of(hex);
    if (frame.size() < 60 || frame.size() % 4 != 0) return fail("the frame's length", EINVAL);
    return generate(interface, frame, seconds);
}
