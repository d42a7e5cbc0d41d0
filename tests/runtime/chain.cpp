// SPDX-License-Identifier: Apache-2.0
#include "chain.hpp"

#include <fmt/format.h>

#include <ranges>

#include "needs.hpp"

namespace weft::test {

Chain::Chain(const WeftNode &node, std::vector<json> plugins) : node_(node), plugins_(std::move(plugins)) {
    const auto own = json::parse(node.cni_config());
    for (auto &plugin : plugins_)
        if (plugin["type"] == "weft") plugin.update(own);
}

Result<json> Chain::call(const char *command, const json &plugin, const std::string &id, const std::string &netns,
                         const Attachment &attachment) const {
    const auto type = plugin["type"].get<std::string>();
    json conf = plugin;
    conf.update({{"cniVersion", "1.0.0"}, {"name", "cbr0"}});
    if (!attachment.result.is_null()) conf["prevResult"] = attachment.result;
    const auto declared = plugin.value("capabilities", json::object());
    for (const auto &[name, wanted] : declared.items())
        if (wanted == true && attachment.capabilities.contains(name))
            conf["runtimeConfig"][name] = attachment.capabilities[name];
    const auto path = type == "weft" ? binary("weft") : fmt::format("{}/{}", kPluginDir, type);
    auto out = node_.netns().output(
        {path}, {.env = {fmt::format("CNI_COMMAND={}", command), "CNI_CONTAINERID=" + id, "CNI_NETNS=" + netns,
                         "CNI_IFNAME=eth0", fmt::format("CNI_PATH={}", kPluginDir)},
                 .input = conf.dump()});
    if (!out) return fail_as_is(std::move(out));
    if (out->code != 0) return fail(fmt::format("{} {}: exit {}: {}{}", type, command, out->code, out->out, out->err));
    return out->out.empty() ? json() : json::parse(out->out, nullptr, false);
}

Result<json> Chain::add(const std::string &id, const std::string &netns, const json &capabilities) {
    auto &attachment = attachments_[id];
    attachment = {.capabilities = capabilities, .result = {}};
    for (const auto &plugin : plugins_) {
        auto result = call("ADD", plugin, id, netns, attachment);
        if (!result) return result;
        attachment.result = std::move(*result);
    }
    return attachment.result;
}

Status Chain::check(const std::string &id, const std::string &netns) {
    for (const auto &plugin : plugins_) {
        if (auto checked = call("CHECK", plugin, id, netns, attachments_[id]); !checked)
            return fail_as_is(std::move(checked));
    }
    return {};
}

Status Chain::del(const std::string &id, const std::string &netns) {
    for (const auto &plugin : plugins_ | std::views::reverse)
        if (auto deleted = call("DEL", plugin, id, netns, attachments_[id]); !deleted)
            return fail_as_is(std::move(deleted));
    attachments_.erase(id);
    return {};
}

Result<Pod *> Chain::add_pod(const std::string &name, const json &capabilities) {
    auto ns = Netns::create(name);
    if (!ns) return fail_as_is(std::move(ns));
    auto result = add(name, ns->path(), capabilities);
    if (!result) return fail_as_is(std::move(result));
    const auto address_of = [&](const json::json_pointer &ip) {
        const auto address = result->value(ip, "");
        return address.substr(0, address.find('/'));
    };
    auto server = serve_traffic(*ns);
    if (!server) return fail_as_is(std::move(server));
    pods_.push_back({std::move(*ns), name, address_of("/ips/0/address"_json_pointer), std::move(*server),
                     address_of("/ips/1/address"_json_pointer)});
    return &pods_.back();
}

} // namespace weft::test
