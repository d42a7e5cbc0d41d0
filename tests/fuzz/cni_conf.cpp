// SPDX-License-Identifier: Apache-2.0
// The plugin's configuration: a file of the node's, with what the runtime and other plugins put into it.
#include <algorithm>
#include <filesystem>

#include "fuzz.hpp"
#include "invocation.hpp"
#include "netconf.hpp"
#include "result.hpp"

void weft::fuzz::one(std::string_view input) {
    using namespace weft::cni;
    auto head = parse_head(input);
    if (!head) return expect(!head.error().msg.empty(), "a refusal says why");
    const auto conf = parse_conf(*std::move(head));
    if (!conf) return expect(conf.error().code != 0 && !conf.error().msg.empty(), "a refusal says why");
    expect(is_valid_name(conf->name), "a network's name is safe as a part of a path", conf->name);
    for (const auto &path : {conf->subnet_file, conf->bpf_dir, conf->data_dir, conf->ipam.data_dir})
        expect(path.empty() || (path.is_absolute() && path.native().find('\0') == std::string::npos &&
                                std::ranges::find(path, std::filesystem::path("..")) == path.end()),
               "a path leads where it seems to", path.native());
    expect(conf->ipam.type.empty() || is_valid_name(conf->ipam.type), "an IPAM plugin is a name, no path",
           conf->ipam.type);
    if (!conf->prev_result) return;
    const auto written = to_json(*conf->prev_result, Version::v1_1_0);
    const auto again = parse_result(written, "prevResult");
    expect(again.has_value(), "a result is passed on readable",
           written.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    expect(*again == *conf->prev_result, "a result is passed on as it is");
}
