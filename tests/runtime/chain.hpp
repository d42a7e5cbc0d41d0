// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <list>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "pod.hpp"
#include "weft_node.hpp"

namespace weft::test {

using nlohmann::json;

/// Where Debian keeps the plugins of containernetworking-plugins.
inline constexpr const char *kPluginDir = "/usr/lib/cni";

/// A conflist run as container runtimes run it (libcni): ADD in order, each plugin with the result of the one before; CHECK in
/// order and DEL in reverse, each with the final result; of the capabilities a pod is given, each plugin gets those that its
/// entry declares.
///
/// Contract: what a plugin says on failure is in the error. Nothing is undone after a failed ADD: the runtime asks for that.
class Chain {
public:
    /// @param plugins entries of the conflist; weft's gets the node's paths.
    Chain(const WeftNode &node, std::vector<json> plugins);

    /// One attachment, "eth0". @param capabilities by name: {"portMappings": [...]}.
    Result<json> add(const std::string &id, const std::string &netns, const json &capabilities = json::object());
    /// With the result of add().
    Status check(const std::string &id, const std::string &netns);
    Status del(const std::string &id, const std::string &netns);

    /// A new namespace with an attachment of this list and a traffic server.
    Result<Pod *> add_pod(const std::string &name, const json &capabilities = json::object());
    Status check(const Pod &pod) { return check(pod.container_id, pod.ns.path()); }
    /// Leaves the namespace.
    Status del(const Pod &pod) { return del(pod.container_id, pod.ns.path()); }

private:
    struct Attachment {
        json capabilities, result;
    };
    Result<json> call(const char *command, const json &plugin, const std::string &id, const std::string &netns,
                      const Attachment &attachment) const;

    const WeftNode &node_;
    std::vector<json> plugins_;
    std::map<std::string, Attachment> attachments_;
    std::list<Pod> pods_;
};

} // namespace weft::test
