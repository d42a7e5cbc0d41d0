// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cni/invocation.hpp"
#include "cni/netconf.hpp"
#include "config/subnet_env.hpp"

namespace weft::cni {

/// One call of the plugin: what was asked, under which configuration, and where remarks go.
struct Context {
    Invocation call;
    PluginConf conf;
    std::function<void(std::string_view)> remark; ///< one line for the runtime's log (stderr)

    [[nodiscard]] Attachment attachment() const { return {call.container_id, call.ifname}; }
};

/// This node's subnet as weftd (or flanneld) wrote it. @param code of the failure if it cannot be had.
[[nodiscard]] inline Outcome<SubnetEnv> load_subnet(const PluginConf &conf, int code) {
    auto env = read_subnet_env(conf.subnet_file);
    if (!env)
        return refuse(code, "this node has no subnet: " + env.error().sentence(),
                      "weftd writes the file once it holds a lease");
    if (!env->lost.empty())
        return refuse(
            code, "this node has lost its subnet, no new pod can have an address of it: " + env->lost,
            "pods that run go on; weftd takes another subnet when there are none, or this one when it is free");
    return std::move(*env);
}

} // namespace weft::cni
