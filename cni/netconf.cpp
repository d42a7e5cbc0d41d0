// SPDX-License-Identifier: Apache-2.0
#include "cni/netconf.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cni/invocation.hpp"
#include "cni/json_read.hpp"

namespace weft::cni {
namespace {

using nlohmann::json;

// IPv4 needs 68 (RFC 791); 65535 is the longest packet and what veth takes.
constexpr unsigned kMinMtu = 68, kMaxMtu = 65535;
constexpr int kDeepest = 64; // a configuration with its prevResult has six

Result<Net> with_length(const Result<Ip> &address) {
    if (!address) return std::unexpected(address.error());
    return host_net(*address);
}

Done read_path(const json &raw, const char *key, std::filesystem::path &out) {
    auto text = read_string(raw, key, "", kInvalidConfig);
    if (!text) return pass_on(std::move(text));
    if (text->empty()) return {};
    // A zero byte would end the path for the kernel only; ".." names what a reader of the file does not see.
    const std::filesystem::path path(*text);
    if (text->front() != '/' || text->find('\0') != std::string::npos ||
        std::ranges::find(path, std::filesystem::path("..")) != path.end())
        return refuse(kInvalidConfig, fmt::format("{}: an absolute path without \"..\" is expected, found {}", key,
                                                  shown(json(*text))));
    out = path;
    return {};
}

Done read_mtu(const json &object, std::string_view what, unsigned &out) {
    auto mtu = read_unsigned(object, "mtu", what, kInvalidConfig);
    if (!mtu) return pass_on(std::move(mtu));
    if (!*mtu || **mtu == 0) return {};
    if (**mtu < kMinMtu || **mtu > kMaxMtu)
        return refuse(kInvalidConfig, fmt::format("{}{}mtu: {} to {} is expected, found {}", what,
                                                  what.empty() ? "" : ".", kMinMtu, kMaxMtu, **mtu));
    out = **mtu;
    return {};
}

Done read_name(const json &raw, PluginConf &conf) {
    auto name = read_string(raw, "name", "", kInvalidConfig);
    if (!name) return pass_on(std::move(name));
    if (name->empty()) return refuse(kInvalidConfig, "name: missing network name");
    if (!is_valid_name(*name))
        return refuse(kInvalidConfig, fmt::format("name: \"{}\" is no network name", *name),
                      "letters, digits, '_', '.' and '-', beginning with a letter or digit");
    conf.name = std::move(*name);
    return {};
}

Done read_ipam(const json &raw, PluginConf &conf) {
    auto ipam = read_object(raw, "ipam", "", kInvalidConfig);
    if (!ipam) return pass_on(std::move(ipam));
    if (!*ipam) return {};
    auto type = read_string(**ipam, "type", "ipam", kInvalidConfig);
    if (!type) return pass_on(std::move(type));
    if (!type->empty()) {
        // A plugin is a name to be found in CNI_PATH; a path would run any file of the node.
        if (!is_valid_name(*type))
            return refuse(kInvalidConfig, fmt::format("ipam.type: {} is no plugin name", shown(json(*type))));
        conf.ipam.type = std::move(*type);
        return {};
    }
    if (auto dir = read_path(**ipam, "dataDir", conf.ipam.data_dir); !dir) return dir;
    auto routes = parse_routes(**ipam, "ipam");
    if (!routes) return refuse(kInvalidConfig, routes.error().msg);
    conf.ipam.routes = std::move(*routes);
    std::vector<std::string> unused;
    for (const auto &[key, value] : (*ipam)->items())
        if (key != "type" && key != "dataDir" && key != "routes") unused.push_back(key);
    if (!unused.empty())
        conf.remarks.push_back(
            fmt::format("ipam: {}: not used, the range is this node's subnet", fmt::join(unused, ", ")));
    return {};
}

/// flannel's `delegate`: checked as flannel checks it; only an MTU in it means anything without a bridge.
Done read_delegate(const json &raw, PluginConf &conf) {
    auto delegate = read_object(raw, "delegate", "", kInvalidConfig);
    if (!delegate) return pass_on(std::move(delegate));
    if (!*delegate) return {};
    const json &d = **delegate;
    if (const auto *type = member(d, "type"); type && !type->is_string())
        return refuse(kInvalidConfig, "'delegate' dictionary, if present, must have (string) 'type' field");
    for (const char *key : {"name", "ipam"})
        if (d.contains(key))
            return refuse(kInvalidConfig,
                          fmt::format("'delegate' dictionary must not have '{}' field, it'll be set by flannel", key));
    if (auto mtu = read_mtu(d, "delegate", conf.mtu); !mtu) return mtu;
    std::vector<std::string> unused;
    for (const auto &[key, value] : d.items())
        if (key != "mtu") unused.push_back(key);
    if (!unused.empty())
        conf.remarks.push_back(
            fmt::format("delegate: {}: no meaning for weft, which has no bridge; ignored", fmt::join(unused, ", ")));
    return {};
}

/// The addresses of a list, each with or without a prefix length.
Done read_ips(const json &object, const char *key, std::string_view what, std::vector<Ip> &out) {
    auto list = read_strings(object, key, what, kInvalidConfig);
    if (!list) return pass_on(std::move(list));
    for (const std::string &text : *list) {
        auto ip = parse_ip(std::string_view(text).substr(0, text.find('/')));
        if (!ip) return refuse(kInvalidConfig, fmt::format("{}.{}: {}", what, key, ip.error().sentence()));
        if (std::ranges::find(out, *ip) == out.end()) out.push_back(*ip);
    }
    return {};
}

Done read_mac(const json &object, std::string_view what, std::optional<Mac> &out) {
    auto text = read_string(object, "mac", what, kInvalidConfig);
    if (!text) return pass_on(std::move(text));
    if (text->empty()) return {};
    auto mac = parse_mac(*text);
    if (!mac) return refuse(kInvalidConfig, fmt::format("{}.mac: {}", what, mac.error().sentence()));
    out = *mac;
    return {};
}

/// The bandwidth capability, which is another plugin's to carry out, with qdiscs on our host end.
Done read_bandwidth(const json &runtime, PluginConf &conf) {
    auto bandwidth = read_object(runtime, "bandwidth", "runtimeConfig", kInvalidConfig);
    if (!bandwidth) return pass_on(std::move(bandwidth));
    if (!*bandwidth) return {};
    for (const char *key : {"ingressRate", "egressRate"}) {
        const auto *rate = member(**bandwidth, key);
        if (rate && rate->is_number() && rate->get<double>() > 0) conf.shaped = true;
    }
    return {};
}

/// Limits that stand in a later plugin's own configuration, where nobody else can read them.
Done read_shaped(const json &raw, PluginConf &conf) {
    const auto *shaped = member(raw, "shaped");
    if (!shaped) return {};
    if (!shaped->is_boolean()) return refuse_type(kInvalidConfig, "", "shaped", "true or false", *shaped);
    if (shaped->get<bool>()) conf.shaped = true;
    return {};
}

/// Sources beside the pod's own: addresses, or prefixes.
Done read_allowed(const json &object, std::string_view what, PluginConf &conf) {
    auto list = read_strings(object, "allowedAddresses", what, kInvalidConfig);
    if (!list) return pass_on(std::move(list));
    const auto name = fmt::format("{}{}allowedAddresses", what, what.empty() ? "" : ".");
    for (const std::string &text : *list) {
        const auto net = text.find('/') == std::string::npos ? with_length(parse_ip(text)) : parse_net(text);
        if (!net) return refuse(kInvalidConfig, fmt::format("{}: {}", name, net.error().sentence()));
        if (*net != net->canonical())
            return refuse(kInvalidConfig, fmt::format("{}: \"{}\" has bits set behind its prefix length", name, text),
                          fmt::format("{} is its prefix", net->canonical().to_string()));
        if (std::ranges::find(conf.allowed_sources, *net) == conf.allowed_sources.end())
            conf.allowed_sources.push_back(*net);
    }
    return {};
}

/// What an operator gives the pods of this network, all of them.
Done read_sources(const json &raw, PluginConf &conf) {
    const auto *any = member(raw, "anySource");
    if (any && !any->is_boolean()) return refuse_type(kInvalidConfig, "", "anySource", "true or false", *any);
    conf.any_source = any && any->get<bool>();
    return read_allowed(raw, "", conf);
}

/// What a pod is wired with.
Done read_device(const json &raw, PluginConf &conf) {
    auto device = read_string(raw, "device", "", kInvalidConfig);
    if (!device) return pass_on(std::move(device));
    if (!device->empty() && *device != "veth" && *device != "netkit")
        return refuse(kInvalidConfig,
                      fmt::format("device: veth or netkit is expected, found {}", shown(json(*device))));
    conf.netkit = *device == "netkit";
    return {};
}

/// args.cni and runtimeConfig: what the user or the runtime wants for this one attachment.
Done read_wishes(const json &raw, PluginConf &conf) {
    auto args = read_object(raw, "args", "", kInvalidConfig);
    if (!args) return pass_on(std::move(args));
    if (*args) {
        auto cni = read_object(**args, "cni", "args", kInvalidConfig);
        if (!cni) return pass_on(std::move(cni));
        if (*cni) {
            if (auto ips = read_ips(**cni, "ips", "args.cni", conf.requested_ips); !ips) return ips;
            if (auto mac = read_mac(**cni, "args.cni", conf.requested_mac); !mac) return mac;
        }
    }
    auto runtime = read_object(raw, "runtimeConfig", "", kInvalidConfig);
    if (!runtime) return pass_on(std::move(runtime));
    if (!*runtime) return {};
    if (const auto *ranges = member(**runtime, "ipRanges"); ranges && conf.ipam.type.empty())
        return refuse(kUnsupportedField, fmt::format("runtimeConfig.ipRanges: {}", shown(*ranges)),
                      "the built-in IPAM's range is this node's subnet");
    if (auto bandwidth = read_bandwidth(**runtime, conf); !bandwidth) return bandwidth;
    if (auto allowed = read_allowed(**runtime, "runtimeConfig", conf); !allowed) return allowed;
    if (auto ips = read_ips(**runtime, "ips", "runtimeConfig", conf.requested_ips); !ips) return ips;
    return read_mac(**runtime, "runtimeConfig", conf.requested_mac);
}

Done read_prev_result(const json &raw, PluginConf &conf) {
    const auto *prev = member(raw, "prevResult");
    if (!prev) return {};
    auto result = parse_result(*prev, "prevResult");
    if (!result) return pass_on(std::move(result));
    conf.prev_result = std::move(*result);
    return {};
}

/// Both spellings of the list that GC keeps: the released specification's and its successor's. libcni sends both.
Done read_attachments(const json &raw, PluginConf &conf) {
    const auto *list = member(raw, "cni.dev/valid-attachments");
    if (!list) list = member(raw, "cni.dev/attachments");
    if (!list) return {};
    constexpr std::string_view kWhat = "cni.dev/valid-attachments";
    if (!list->is_array())
        return refuse(kInvalidConfig, fmt::format("{}: an array is expected, found {}", kWhat, shown(*list)));
    auto &out = conf.valid_attachments.emplace();
    for (const auto &item : *list) {
        if (!item.is_object())
            return refuse(kInvalidConfig, fmt::format("{}: an object is expected, found {}", kWhat, shown(item)));
        auto id = read_string(item, "containerID", kWhat, kInvalidConfig);
        if (!id) return pass_on(std::move(id));
        auto ifname = read_string(item, "ifname", kWhat, kInvalidConfig);
        if (!ifname) return pass_on(std::move(ifname));
        // A half-understood entry could mean the end of a running pod's network.
        if (id->empty() || ifname->empty())
            return refuse(kInvalidConfig,
                          fmt::format("{}: containerID and ifname are expected, found {}", kWhat, shown(item)));
        out.push_back({std::move(*id), std::move(*ifname)});
    }
    return {};
}

} // namespace

Outcome<ConfHead> parse_head(std::string_view text) {
    ConfHead head;
    // Reading and freeing deep values is no recursion, showing them in an error is.
    bool too_deep = false;
    const auto shallow = [&](int depth, json::parse_event_t, json &) {
        too_deep = too_deep || depth > kDeepest;
        return depth <= kDeepest;
    };
    head.raw = json::parse(text, shallow, /* allow_exceptions */ false);
    if (too_deep)
        return refuse(kDecodeFailure,
                      fmt::format("network configuration on stdin: is nested deeper than {} levels", kDeepest));
    // The parser takes a zero byte for the end of the text, whatever follows.
    if (head.raw.is_discarded() || text.find('\0') != std::string_view::npos)
        return refuse(kDecodeFailure, "network configuration on stdin is not JSON");
    if (!head.raw.is_object())
        return refuse(kDecodeFailure,
                      fmt::format("network configuration on stdin: an object is expected, found {}", shown(head.raw)));
    auto version = read_string(head.raw, "cniVersion", "", kDecodeFailure);
    if (!version) return pass_on(std::move(version));
    head.cni_version = std::move(*version);
    return head;
}

Outcome<PluginConf> parse_conf(ConfHead head) {
    PluginConf conf;
    // 0.1.0 has configurations without a version.
    const auto version = head.cni_version.empty() ? Version::v0_1_0 : parse_version(head.cni_version);
    if (!version)
        return refuse(kIncompatibleVersion, "incompatible CNI versions",
                      fmt::format("config is \"{}\", plugin supports [\"{}\"]", head.cni_version,
                                  fmt::join(kVersionNames, "\" \"")));
    conf.version = *version;
    if (auto done = read_path(head.raw, "subnetFile", conf.subnet_file); !done) return pass_on(std::move(done));
    if (auto done = read_path(head.raw, "runDir", conf.run_dir); !done) return pass_on(std::move(done));
    if (auto done = read_path(head.raw, "bpfDir", conf.bpf_dir); !done) return pass_on(std::move(done));
    if (auto done = read_path(head.raw, "dataDir", conf.data_dir); !done) return pass_on(std::move(done));
    // The order matters: an own `mtu` overrides the delegate's, and the wishes depend on which IPAM serves them.
    for (auto read : {read_name, read_delegate, read_ipam, read_sources, read_device, read_wishes, read_shaped,
                      read_prev_result, read_attachments})
        if (auto done = read(head.raw, conf); !done) return pass_on(std::move(done));
    if (auto done = read_mtu(head.raw, "", conf.mtu); !done) return pass_on(std::move(done));
    auto dns = parse_dns(head.raw, "configuration");
    if (!dns) return refuse(kInvalidConfig, dns.error().msg);
    conf.dns = std::move(*dns);
    conf.raw = std::move(head.raw);
    return conf;
}

} // namespace weft::cni
