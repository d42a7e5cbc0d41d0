// SPDX-License-Identifier: Apache-2.0
#include "cni_node.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ostream>

#include "needs.hpp"
#include "net/netns.hpp"
#include "net/route.hpp"

namespace weft::test {
namespace {

Status pin(int fd, const std::filesystem::path &path) {
    const int err = bpf_obj_pin(fd, path.c_str());
    return err == 0 ? Status() : fail_errno(-err, path.string());
}

Status pin_endpoints(const std::filesystem::path &dir) {
    struct bpf_map_create_opts opts{};
    opts.sz = sizeof(opts);
    opts.map_flags = BPF_F_NO_PREALLOC;
    const UniqueFd fd(bpf_map_create(BPF_MAP_TYPE_HASH, "weft_endpoints", sizeof(weft_ip), sizeof(weft_endpoint),
                                     WEFT_MAX_ENDPOINTS, &opts));
    if (!fd) return fail_errno(errno, "make endpoint map");
    return pin(fd.get(), dir / WEFT_PIN_ENDPOINTS);
}

/// The name's prefix is how attachments of ours are told from others.
Status pin_program(const std::filesystem::path &dir) {
    const std::array<bpf_insn, 2> insns{bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
                                        bpf_insn{.code = BPF_JMP | BPF_EXIT}};
    const UniqueFd fd(
        bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "weft_from_pod", "GPL", insns.data(), insns.size(), nullptr));
    if (!fd) return fail_errno(errno, "load program");
    return pin(fd.get(), dir / WEFT_PIN_FROM_POD);
}

std::vector<std::string> environment(const Call &call) {
    std::map<std::string, std::string> variables{{"CNI_COMMAND", call.command}, {"CNI_CONTAINERID", call.id},
                                                 {"CNI_IFNAME", call.ifname},   {"CNI_NETNS", call.netns},
                                                 {"CNI_PATH", "/usr/lib/cni"},  {"CNI_ARGS", ""}};
    for (const std::string &variable : call.env) {
        const auto equals = variable.find('=');
        variables[variable.substr(0, equals)] = variable.substr(equals + 1);
    }
    std::vector<std::string> env;
    for (const auto &[name, value] : variables) env.push_back(fmt::format("{}={}", name, value));
    return env;
}

std::string input(const Call &call) { return call.conf.is_string() ? call.conf.get<std::string>() : call.conf.dump(); }

} // namespace

std::string Answer::text() const { return fmt::format("exit {}\nstdout: {}\nstderr: {}", exit_code, out, err); }

std::ostream &operator<<(std::ostream &out, const Traces &t) {
    return out << fmt::format("veths [{}], addresses [{}], notes [{}], endpoints [{}], routes [{}]",
                              fmt::join(t.veths, " "), fmt::join(t.addresses, " "), fmt::join(t.notes, " "),
                              fmt::join(t.endpoints, " "), fmt::join(t.routes, " "));
}

Result<CniNode> CniNode::create(std::string_view name, Families families, unsigned prefix_len) {
    auto ns = Netns::create(name);
    if (!ns) return fail_as_is(std::move(ns));
    auto dir = TempDir::create(name);
    if (!dir) return fail_as_is(std::move(dir));
    auto bpf = BpfDir::create(name);
    if (!bpf) return fail_as_is(std::move(bpf));
    std::string env;
    if (has_v4(families))
        env += fmt::format("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.86.1/{}\n", prefix_len);
    if (has_v6(families)) env += "FLANNEL_IPV6_NETWORK=fd00:244::/48\nFLANNEL_IPV6_SUBNET=fd00:244:0:86::1/64\n";
    env += "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
    if (auto written = write_file(*dir / "subnet.env", env); !written) return fail_as_is(std::move(written));
    std::filesystem::create_directory(*dir / "run");
    for (auto make : {pin_endpoints, pin_program})
        if (auto pinned = make(bpf->path()); !pinned) return fail_as_is(std::move(pinned));
    return CniNode(std::move(*ns), std::move(*dir), std::move(*bpf));
}

json CniNode::conf(std::string_view version) const {
    return {{"cniVersion", version}, {"name", kNetwork},      {"type", "weft"},     {"subnetFile", subnet_file()},
            {"bpfDir", bpf_dir()},   {"dataDir", data_dir()}, {"runDir", run_dir()}};
}

Answer CniNode::run(const Call &call, const std::string &plugin) const {
    auto command = call.under;
    command.push_back(plugin);
    auto ran = test::run(std::move(command), {.netns = ns_.path(), .env = environment(call), .input = input(call)});
    if (!ran) return {.err = ran.error().sentence()};
    return {.exit_code = ran->code, .out = ran->out, .err = ran->err, .body = json::parse(ran->out, nullptr, false)};
}

Answer CniNode::weft(const Call &call) const { return run(call, binary("weft")); }

Answer CniNode::weft_failing_at(Call call, const std::string &step) const {
    call.env.push_back("WEFT_TEST_FAIL_AT=" + step);
    return run(call, binary("weft-testhooks"));
}

Result<Process> CniNode::start_weft(const Call &call) const {
    return Process::spawn({binary("weft")}, {.netns = ns_.path(), .env = environment(call), .input = input(call)});
}

net::NlSocket CniNode::socket_in(const std::string &netns) {
    auto ns = net::Netns::open(netns);
    if (!ns) std::abort();
    auto sock = ns->open_socket();
    if (!sock) std::abort();
    return std::move(*sock);
}

Traces CniNode::traces() const {
    Traces out;
    auto sock = socket();
    if (const auto links = net::list_links(sock))
        for (const auto &link : *links)
            if (link.name.starts_with("weft")) out.veths.push_back(link.name);
    if (const auto routes = net::list_routes(sock, {.protocol = net::kRouteProtocol}))
        for (const auto &route : *routes) out.routes.push_back(route.destination.to_string());
    if (auto map = endpoints())
        if (auto entries = (*map)->entries())
            for (const auto &entry : *entries) out.endpoints.push_back(abi::ip(entry.first).to_string());
    std::error_code err;
    for (const auto &entry : std::filesystem::directory_iterator(ipam_dir(), err))
        if (parse_ip(entry.path().filename().string())) out.addresses.push_back(entry.path().filename());
    for (const auto &entry : std::filesystem::directory_iterator(run_dir(), err))
        out.notes.push_back(entry.path().filename());
    for (auto *list : {&out.veths, &out.routes, &out.endpoints, &out.addresses, &out.notes}) std::ranges::sort(*list);
    return out;
}

} // namespace weft::test
