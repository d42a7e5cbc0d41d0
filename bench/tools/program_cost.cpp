// SPDX-License-Identifier: Apache-2.0
// What a loaded program costs for one packet, by BPF_PROG_RUN: nanoseconds, and instructions where the machine counts them; and
// how large it is.
//
//   program_cost <CASES.json     in the network namespace of the node whose programs they are
//
// Cases are an array of {"name", "program": its id, "xdp": bool, "ifindex": of the interface it came in by, "packets":
// [hex, ...]}. Each run gets a fresh packet, because a program changes the one it is given. *Warm*: the first packet again
// and again. *Cold*: one packet after the other, and before each the CPU's own caches are filled with something else. A
// program that only returns, run the same way, is taken off. A redirect is decided, not done: its cost shows under traffic
// only. Prints one JSON array.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <system_error>
#include <vector>

#include "base/unique_fd.hpp"

namespace {

using nlohmann::json;
using weft::UniqueFd;
using Bytes = std::vector<std::uint8_t>;

constexpr unsigned kWarmRuns = 5'000, kColdRuns = 500;
constexpr std::size_t kMoreThanCaches = std::size_t{4} << 20; ///< L1 and L2 of one CPU; the last level is everybody's

[[noreturn]] void die(const std::string &what, int err) {
    fmt::print(stderr, "program_cost: {}: {}\n", what, std::generic_category().message(err));
    std::_Exit(1);
}

struct Case {
    std::string name;
    UniqueFd program;
    bool xdp = false;
    unsigned ifindex = 0;
    std::vector<Bytes> packets;
};

/// One fresh packet through the program. @return nanoseconds, as the kernel took them around the program alone.
std::uint32_t run_once(const Case &test, const Bytes &packet) {
    __sk_buff skb{.ifindex = test.ifindex};
    xdp_md md{.data_end = static_cast<__u32>(packet.size())};
    bpf_test_run_opts opts{};
    opts.sz = sizeof opts;
    opts.data_in = packet.data();
    opts.data_size_in = static_cast<__u32>(packet.size());
    opts.repeat = 1;
    opts.ctx_in = test.xdp ? static_cast<const void *>(&md) : &skb;
    opts.ctx_size_in = test.xdp ? sizeof md : sizeof skb;
    if (const int err = bpf_prog_test_run_opts(test.program.get(), &opts); err != 0) die(test.name, -err);
    return opts.duration;
}

/// Instructions in the kernel, where the machine lets them be counted.
class Instructions {
public:
    Instructions() {
        perf_event_attr attr{};
        attr.size = sizeof attr;
        attr.type = PERF_TYPE_HARDWARE;
        attr.config = PERF_COUNT_HW_INSTRUCTIONS;
        attr.exclude_user = 1;
        attr.disabled = 1;
        fd_ = UniqueFd(static_cast<int>(::syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
    }
    /// Per run, the whole system call's.
    [[nodiscard]] std::optional<double> count(const Case &test, unsigned runs) const {
        if (!fd_) return std::nullopt;
        ::ioctl(fd_.get(), PERF_EVENT_IOC_RESET, 0);
        ::ioctl(fd_.get(), PERF_EVENT_IOC_ENABLE, 0);
        for (unsigned i = 0; i < runs; ++i) run_once(test, test.packets[0]);
        ::ioctl(fd_.get(), PERF_EVENT_IOC_DISABLE, 0);
        std::uint64_t counted = 0;
        if (::read(fd_.get(), &counted, sizeof counted) != sizeof counted) return std::nullopt;
        return static_cast<double>(counted) / runs;
    }

private:
    UniqueFd fd_;
};

struct Cost {
    double warm = 0, cold = 0;
    std::optional<double> instructions;
};

/// The lower quartile: what others did to the machine meanwhile makes runs longer, never shorter.
double typical(std::vector<std::uint32_t> times) {
    std::ranges::sort(times);
    return times[times.size() / 4];
}

void fill_caches() {
    static std::vector<std::uint8_t> other(kMoreThanCaches);
    for (std::size_t i = 0; i < other.size(); i += 64) ++other[i];
}

Cost cost_of(const Case &test, const Instructions &instructions) {
    std::vector<std::uint32_t> warm, cold;
    for (unsigned i = 0; i < kWarmRuns; ++i) warm.push_back(run_once(test, test.packets[0]));
    for (unsigned i = 0; i < kColdRuns; ++i) {
        fill_caches();
        cold.push_back(run_once(test, test.packets[i % test.packets.size()]));
    }
    return {typical(warm), typical(cold), instructions.count(test, kWarmRuns)};
}

Bytes bytes_of(const std::string &hex) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

Case read_case(const json &from) {
    Case test{.name = from.at("name"), .xdp = from.at("xdp"), .ifindex = from.at("ifindex")};
    const __u32 id = from.at("program");
    test.program = UniqueFd(bpf_prog_get_fd_by_id(id));
    if (!test.program) die(fmt::format("program {}", id), errno);
    for (const std::string hex : from.at("packets")) test.packets.push_back(bytes_of(hex));
    return test;
}

Case empty_case(const Case &like) {
    const bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = like.xdp ? XDP_PASS : -1},
        {.code = BPF_JMP | BPF_EXIT}};
    Case empty{.name = "empty", .xdp = like.xdp, .ifindex = like.ifindex, .packets = like.packets};
    empty.program = UniqueFd(bpf_prog_load(like.xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", code,
                                           std::size(code), nullptr));
    if (!empty.program) die("load", errno);
    return empty;
}

/// Instructions after the verifier, bytes after the JIT, and how many the verifier walked on all paths together.
json size_of(const Case &test) {
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (const int err = bpf_obj_get_info_by_fd(test.program.get(), &info, &length); err != 0) die(test.name, -err);
    return {{"program_instructions", info.xlated_prog_len / sizeof(bpf_insn)},
            {"machine_code_bytes", info.jited_prog_len},
            {"verifier_walked", info.verified_insns}};
}

json difference(const Case &test, const Instructions &instructions) {
    const Cost of_empty = cost_of(empty_case(test), instructions), of_program = cost_of(test, instructions);
    json row{{"name", test.name},
             {"warm_ns", of_program.warm - of_empty.warm},
             {"cold_ns", of_program.cold - of_empty.cold},
             {"instructions", nullptr}};
    if (of_program.instructions && of_empty.instructions)
        row["instructions"] = *of_program.instructions - *of_empty.instructions;
    row.update(size_of(test));
    return row;
}

} // namespace

int main() {
    try {
        const Instructions instructions;
        json rows = json::array();
        for (const auto &from : json::parse(std::cin)) rows.push_back(difference(read_case(from), instructions));
        fmt::print("{}\n", rows.dump());
        return 0;
    } catch (const std::exception &error) {
        fmt::print(stderr, "program_cost: {}\n", error.what());
        return 1;
    }
}
