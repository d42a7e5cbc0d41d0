// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "cni/failure.hpp"
#include "cni/result.hpp"
#include "cni/version.hpp"

namespace weft::cni {

/// One interface of one container: the identity of everything that ADD makes.
struct Attachment {
    std::string container_id;
    std::string ifname;

    auto operator<=>(const Attachment &) const = default;
};

/// `ipam` of the configuration.
struct IpamConf {
    std::string type;                ///< empty: the built-in one; else the plugin to delegate to
    std::vector<RouteConfig> routes; ///< read for the built-in one only
    std::filesystem::path data_dir;  ///< empty: PluginConf::data_dir
};

/// The plugin's configuration, checked. Defaults are those of design: flannel's files in flannel's places.
struct PluginConf {
    Version version = Version::v1_1_0;
    std::string name; ///< of the network; safe as a part of a path
    std::filesystem::path subnet_file = "/run/flannel/subnet.env";
    std::filesystem::path run_dir = "/run/weft"; ///< weftd's
    std::filesystem::path bpf_dir = "/sys/fs/bpf/weft";
    std::filesystem::path data_dir = "/var/lib/cni/networks"; ///< of the built-in IPAM
    IpamConf ipam;
    unsigned mtu = 0;                 ///< 0: from subnet.env
    std::vector<Ip> requested_ips;    ///< args.cni.ips and runtimeConfig.ips, without duplicates
    std::optional<Mac> requested_mac; ///< runtimeConfig.mac, else args.cni.mac
    bool shaped =
        false; ///< `shaped`, or runtimeConfig.bandwidth sets a limit: a later plugin puts qdiscs on the host end
    std::vector<Net> allowed_sources; ///< allowedAddresses, here and in runtimeConfig: sources beside the pod's own
    bool any_source = false;          ///< anySource
    bool netkit = false;              ///< device: netkit in place of veth, where the kernel has it
    std::optional<CniResult> prev_result;
    std::optional<std::vector<Attachment>> valid_attachments; ///< GC
    Dns dns;
    std::vector<std::string> remarks; ///< what was asked for and has no meaning here: one line each for stderr
    nlohmann::json raw;               ///< as received, for a delegated plugin
};

/// What every command needs before anything else, so that errors can be answered in the runtime's version.
struct ConfHead {
    std::string cni_version; ///< as written; empty if absent
    nlohmann::json raw;      ///< an object
};

/// Errors: kDecodeFailure if the text is no JSON object or cniVersion no string.
[[nodiscard]] Outcome<ConfHead> parse_head(std::string_view text);

/// Errors: kIncompatibleVersion naming the supported ones; kInvalidConfig or kUnsupportedField naming key and value;
/// kDecodeFailure for a prevResult that is none.
[[nodiscard]] Outcome<PluginConf> parse_conf(ConfHead head);

} // namespace weft::cni
