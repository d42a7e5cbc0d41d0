// SPDX-License-Identifier: Apache-2.0
#include "cni/plugin.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <optional>

#include "cni/context.hpp"
#include "cni/ops.hpp"
#include "cni/text_file.hpp"

namespace weft::cni {
namespace {

using nlohmann::json;

std::string text_of(const json &value) { return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

std::optional<int> answer; ///< the exit status that belongs to what is on stdout

Status say(std::string_view text, int exit_status) {
    auto written = write_all(STDOUT_FILENO, text, "stdout");
    if (written) answer = exit_status;
    return written;
}

Status print(std::string_view text) { return say(std::string(text) + "\n", 0); }

void remark(std::string_view line) { (void)write_all(STDERR_FILENO, fmt::format("weft: {}\n", line), "stderr"); }

int about() {
    (void)write_all(
        STDERR_FILENO,
        fmt::format("weft CNI plugin {}: a pod network with an eBPF packet path\nCNI protocol versions supported: {}\n",
                    WEFT_VERSION, fmt::join(kVersionNames, ", ")),
        "stderr");
    return 0;
}

int report(const Failure &failure, std::string_view cni_version) {
    json out{{"cniVersion", parse_version(cni_version) ? cni_version : kVersionNames.back()},
             {"code", failure.code},
             {"msg", failure.msg}};
    if (!failure.details.empty()) out["details"] = failure.details;
    (void)say(text_of(out), 1);
    return 1;
}

Done print_versions(const ConfHead &head) {
    const std::string_view version =
        head.cni_version.empty() ? kVersionNames.back() : std::string_view(head.cni_version);
    auto printed = say(text_of({{"cniVersion", version}, {"supportedVersions", kVersionNames}}), 0);
    return printed ? Done() : refuse(kIoFailure, std::move(printed));
}

/// CHECK came with 0.4.0, GC and STATUS with 1.1.0.
Done refuse_if_too_old(Command command, Version version) {
    const Version since = command == Command::check                              ? Version::v0_4_0
                          : command == Command::gc || command == Command::status ? Version::v1_1_0
                                                                                 : Version::v0_1_0;
    if (version >= since) return {};
    return refuse(
        kIncompatibleVersion, fmt::format("config version does not allow {}", to_string(command)),
        fmt::format("config is \"{}\", {} needs \"{}\"", to_string(version), to_string(command), to_string(since)));
}

Done dispatch(const Context &context) {
    switch (context.call.command) {
    case Command::add: return add(context, print);
    case Command::del: return del(context);
    case Command::check: return check(context);
    case Command::status: return status(context);
    case Command::gc: return gc(context);
    case Command::version: break;
    }
    return {};
}

Done serve(Invocation call, ConfHead head) {
    auto conf = parse_conf(std::move(head));
    if (!conf) return pass_on(std::move(conf));
    if (auto allowed = refuse_if_too_old(call.command, conf->version); !allowed) return allowed;
    return dispatch({.call = std::move(call), .conf = std::move(*conf), .remark = remark});
}

/// The configuration's head. VERSION may come without any.
Outcome<ConfHead> read_head(bool may_be_empty) {
    constexpr std::size_t kLongest = 16UL * 1024 * 1024; // GC's list of 100,000 attachments has 12
    auto text = read_all(STDIN_FILENO, "network configuration on stdin", kLongest);
    if (!text) return refuse(text.error().code() == EFBIG ? kDecodeFailure : kIoFailure, std::move(text));
    if (may_be_empty && text->find_first_not_of(" \t\r\n") == std::string::npos) return ConfHead{};
    return parse_head(*text);
}

} // namespace

std::optional<int> answered() { return answer; }

int run_command(const Environment &env) {
    const char *command = env("CNI_COMMAND");
    if (!command || *command == '\0') return about();
    auto call = parse_invocation(env);
    auto head = read_head(call && call->command == Command::version);
    const std::string version = head ? head->cni_version : std::string();
    if (!call) return report(call.error(), version);
    if (!head) return report(head.error(), version);
    auto done = call->command == Command::version ? print_versions(*head) : serve(std::move(*call), std::move(*head));
    return done ? 0 : report(done.error(), version);
}

} // namespace weft::cni
