// SPDX-License-Identifier: Apache-2.0
#include "cni/ipam_delegate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "cni/json_read.hpp"
#include "cni/run_plugin.hpp"

namespace weft::cni {
namespace {

using nlohmann::json;

Outcome<std::filesystem::path> find_plugin(const Invocation &call, const std::string &type) {
    if (call.plugin_path.empty())
        return refuse(kInvalidEnvironment, "required env variables [CNI_PATH] missing", "ipam.type: " + type);
    for (const std::string &dir : call.plugin_path) {
        auto path = std::filesystem::path(dir) / type;
        std::error_code err;
        if (std::filesystem::is_regular_file(path, err) && ::access(path.c_str(), X_OK) == 0) return path;
    }
    return refuse(kInvalidConfig, fmt::format("ipam.type: failed to find plugin \"{}\" in CNI_PATH [{}]", type,
                                              fmt::join(call.plugin_path, " ")));
}

/// host-local's `ranges`: a set of one range for each subnet, so that each gives an address.
json range_sets(const std::vector<Net> &subnets) {
    json sets = json::array();
    for (const Net &subnet : subnets) sets.push_back(json::array({json{{"subnet", subnet.canonical().to_string()}}}));
    return sets;
}

/// A failed plugin's own words, if it said them as the specification asks.
std::unexpected<Failure> delegate_failure(const std::string &type, Command command, const PluginRun &run) {
    const json error = json::parse(run.output, nullptr, false);
    const auto what = fmt::format("IPAM plugin {} {}", type, to_string(command));
    if (error.is_object()) {
        const auto code = read_unsigned(error, "code", "", kDecodeFailure);
        const auto msg = read_string(error, "msg", "", kDecodeFailure),
                   details = read_string(error, "details", "", kDecodeFailure);
        if (code && *code && msg && details && (**code != 0 || !msg->empty()))
            return refuse(**code == 0 ? kDelegateFailed : static_cast<int>(**code), fmt::format("{}: {}", what, *msg),
                          *details);
    }
    return refuse(kDelegateFailed, fmt::format("{}: {}", what, run.ending), run.output);
}

} // namespace

Outcome<std::string> DelegatedIpam::configuration(Ranges ranges) const {
    json conf = context_.conf.raw;
    if (context_.conf.ipam.type == "host-local") {
        auto env = load_subnet(context_.conf, kTryAgainLater);
        if (!env && ranges == Ranges::required) return pass_on(std::move(env));
        // DEL releases by container, whatever the range: any valid one does where the node's is not known any more.
        json &ipam = conf["ipam"];
        if (env)
            ipam["ranges"] = range_sets(env->subnets());
        else if (!ipam.contains("ranges") && !ipam.contains("subnet"))
            ipam["ranges"] = range_sets({*parse_net("192.0.2.0/24")});
        // As flannel has it: pods reach the whole cluster through this interface, also where it is not the default.
        if (env && context_.call.command == Command::add) {
            if (!ipam.contains("routes") || !ipam["routes"].is_array()) ipam["routes"] = json::array();
            for (const Net &network : env->networks())
                ipam["routes"].push_back({{"dst", network.canonical().to_string()}});
        }
    }
    return conf.dump(-1, ' ', false, json::error_handler_t::replace);
}

Outcome<PluginRun> DelegatedIpam::run_to_end(Command command, Ranges ranges) const {
    auto path = find_plugin(context_.call, context_.conf.ipam.type);
    if (!path) return pass_on(std::move(path));
    auto conf = configuration(ranges);
    if (!conf) return pass_on(std::move(conf));
    auto finished = run_plugin(*path, to_string(command), *conf);
    if (!finished) return refuse(kDelegateFailed, std::move(finished));
    return std::move(*finished);
}

Outcome<std::string> DelegatedIpam::run(Command command, Ranges ranges) const {
    auto finished = run_to_end(command, ranges);
    if (!finished) return pass_on(std::move(finished));
    if (finished->exit_status != 0) return delegate_failure(context_.conf.ipam.type, command, *finished);
    return std::move(finished->output);
}

void DelegatedIpam::give_back() {
    if (auto released = del(); !released) context_.remark(released.error().msg);
}

Outcome<CniResult> DelegatedIpam::add() {
    auto finished = run_to_end(Command::add, Ranges::required);
    if (!finished) return pass_on(std::move(finished));
    const json parsed = json::parse(finished->output, nullptr, false);
    if (finished->exit_status != 0) {
        // One that says what is wrong has given nothing, or has given it to this container before. One that died may have
        // given an address.
        if (!parsed.is_object()) give_back();
        return delegate_failure(context_.conf.ipam.type, Command::add, *finished);
    }
    auto result = parsed.is_discarded()
                      ? Outcome<CniResult>(refuse(kDecodeFailure, "its result is not JSON", finished->output))
                      : parse_result(parsed, "result");
    if (result && !result->ips.empty()) return result;
    give_back(); // what cannot be used
    if (result) return refuse(kDelegateFailed, fmt::format("IPAM plugin {}: gave no address", context_.conf.ipam.type));
    return refuse(result.error().code, fmt::format("IPAM plugin {}: {}", context_.conf.ipam.type, result.error().msg),
                  result.error().details);
}

Done DelegatedIpam::del() {
    auto output = run(Command::del, Ranges::if_known);
    return output ? Done() : pass_on(std::move(output));
}

Done DelegatedIpam::check() {
    auto output = run(Command::check, Ranges::if_known);
    return output ? Done() : pass_on(std::move(output));
}

Done DelegatedIpam::status() {
    auto output = run(Command::status, Ranges::required);
    return output ? Done() : pass_on(std::move(output));
}

Outcome<std::vector<Attachment>> DelegatedIpam::gc() {
    auto output = run(Command::gc, Ranges::if_known);
    if (!output) return pass_on(std::move(output));
    return std::vector<Attachment>();
}

} // namespace weft::cni
