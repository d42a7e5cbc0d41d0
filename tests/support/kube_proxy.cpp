// SPDX-License-Identifier: Apache-2.0
#include "kube_proxy.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include <fmt/format.h>

namespace weft::test {
namespace {

constexpr const char *kProtocols[] = {"tcp", "udp"};

template <class... Args> void line(std::string &text, fmt::format_string<Args...> format, Args &&...args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
    text += '\n';
}

/// kube-proxy's chains end in a hash of what they stand for, in base 32.
std::string hash_of(std::string_view text, std::size_t length) {
    std::string hash;
    for (std::uint64_t h = 0xcbf29ce484222325u; hash.size() < length;
         hash += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[h >> 59]) {
        for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
    return hash;
}

/// One service on one protocol: what kube-proxy calls a service port.
struct ServicePort {
    ServicePort(const Service &s, std::string_view protocol_) : service(s), protocol(protocol_) {
        name = fmt::format("default/{}/{}/p{}", s.name, protocol, s.port);
    }
    [[nodiscard]] std::string endpoint(std::string_view pod) const {
        return fmt::format("{}__{}/{}", name, pod, service.port);
    }
    const Service &service;
    std::string protocol, name;
};

std::vector<ServicePort> ports_of(const NodeRules &rules) {
    std::vector<ServicePort> ports;
    for (const auto &service : rules.services) {
        ports.emplace_back(service, "tcp");
        if (service.udp) ports.emplace_back(service, "udp");
    }
    return ports;
}

std::vector<std::string> local_backends(const NodeRules &rules, const Service &service) {
    std::vector<std::string> local;
    std::ranges::copy_if(service.backends, std::back_inserter(local), [&](const auto &pod) {
        return std::ranges::find(rules.local_pods, pod) != rules.local_pods.end();
    });
    return local;
}

bool dropped_here(const NodeRules &rules, const Service &service) {
    return service.local_policy && service.node_port && local_backends(rules, service).empty();
}

// --- iptables ---------------------------------------------------------------------------------------------------------

std::string svc(const ServicePort &p) { return "KUBE-SVC-" + hash_of(p.name, 16); }
std::string svl(const ServicePort &p) { return "KUBE-SVL-" + hash_of(p.name, 16); }
std::string ext(const ServicePort &p) { return "KUBE-EXT-" + hash_of(p.name, 16); }
std::string sep(const ServicePort &p, std::string_view pod) { return "KUBE-SEP-" + hash_of(p.endpoint(pod), 16); }

/// kube-proxy puts its jumps before whatever rules there are.
std::string iptables_filter(const NodeRules &rules) {
    std::string text = R"(*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
-I INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-I OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES
-I FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-I FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-I FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
)";
    for (const auto &p : ports_of(rules)) {
        if (dropped_here(rules, p.service))
            line(text, "-A KUBE-EXTERNAL-SERVICES -p {0} -m addrtype --dst-type LOCAL -m {0} --dport {1} -j DROP",
                 p.protocol, p.service.node_port);
    }
    return text + "COMMIT\n";
}

/// One endpoint of n is taken with 1/n, the next of what is left with 1/(n-1), the last always.
void iptables_balance(std::string &text, const std::string &from, const ServicePort &p,
                      const std::vector<std::string> &pods) {
    for (std::size_t i = 0; i < pods.size(); ++i) {
        const auto left = pods.size() - i;
        const auto chance = left == 1 ? std::string()
                                      : fmt::format("-m statistic --mode random --probability {:.11f} ",
                                                    1.0 / static_cast<double>(left));
        line(text, "-A {} {}-j {}", from, chance, sep(p, pods[i]));
    }
}

void iptables_external(std::string &text, const NodeRules &rules, const ServicePort &p) {
    line(text, "-A KUBE-NODEPORTS -p {0} -m {0} --dport {1} -j {2}", p.protocol, p.service.node_port, ext(p));
    if (!p.service.local_policy) {
        line(text, "-A {} -j KUBE-MARK-MASQ\n-A {} -j {}", ext(p), ext(p), svc(p));
        return;
    }
    line(text, "-A {} -s {} -j {}", ext(p), rules.cluster_cidr, svc(p));
    line(text, "-A {} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ", ext(p));
    line(text, "-A {} -m addrtype --src-type LOCAL -j {}", ext(p), svc(p));
    const auto local = local_backends(rules, p.service);
    if (local.empty()) return;
    line(text, "-A {} -j {}", ext(p), svl(p));
    iptables_balance(text, svl(p), p, local);
}

void iptables_service(std::string &chains, std::string &text, const NodeRules &rules, const ServicePort &p) {
    line(chains, ":{} - [0:0]", svc(p));
    line(text, "-A KUBE-SERVICES -d {0}/32 -p {1} -m {1} --dport {2} -j {3}", p.service.cluster_ip, p.protocol,
         p.service.port, svc(p));
    line(text, "-A {0} ! -s {1} -d {2}/32 -p {3} -m {3} --dport {4} -j KUBE-MARK-MASQ", svc(p), rules.cluster_cidr,
         p.service.cluster_ip, p.protocol, p.service.port);
    iptables_balance(text, svc(p), p, p.service.backends);
    for (const auto &pod : p.service.backends) {
        line(chains, ":{} - [0:0]", sep(p, pod));
        line(text, "-A {} -s {}/32 -j KUBE-MARK-MASQ", sep(p, pod), pod);
        line(text, "-A {0} -p {1} -m {1} -j DNAT --to-destination {2}:{3}", sep(p, pod), p.protocol, pod,
             p.service.port);
    }
    if (!p.service.node_port) return;
    line(chains, ":{} - [0:0]", ext(p));
    if (p.service.local_policy) line(chains, ":{} - [0:0]", svl(p));
    iptables_external(text, rules, p);
}

void iptables_host_port(std::string &chains, std::string &text, const HostPort &published) {
    const auto chain = "CNI-DN-" + hash_of(published.pod, 21);
    line(chains, ":{} - [0:0]", chain);
    for (const auto *protocol : kProtocols) {
        line(text, "-A CNI-HOSTPORT-DNAT -p {} -m multiport --dports {} -j {}", protocol, published.host_port, chain);
        for (const auto &source : {published.pod, std::string("127.0.0.1")})
            line(text, "-A {0} -s {1}/32 -p {2} -m {2} --dport {3} -j CNI-HOSTPORT-SETMARK", chain, source, protocol,
                 published.host_port);
        line(text, "-A {0} -p {1} -m {1} --dport {2} -j DNAT --to-destination {3}:{4}", chain, protocol,
             published.host_port, published.pod, published.port);
    }
}

// --- nftables -----------------------------------------------------------------------------------------------------------

std::string nft_name(std::string_view kind, std::string_view name) {
    return fmt::format("{}-{}-{}", kind, hash_of(name, 8), name);
}

/// What both rule systems' maps hold: "key : verdict" of every service.
struct NftMaps {
    std::string service_ips, node_ports, no_endpoint_ports;
};

std::string nft_balance(const ServicePort &p, const std::vector<std::string> &pods) {
    std::string choices;
    for (std::size_t i = 0; i < pods.size(); ++i)
        choices += fmt::format("{}{} : goto {}", i ? ", " : "", i, nft_name("endpoint", p.endpoint(pods[i])));
    return fmt::format("    numgen random mod {} vmap {{ {} }}", pods.size(), choices);
}

void nft_service(NftMaps &maps, std::string &text, const NodeRules &rules, const ServicePort &p) {
    const auto service = nft_name("service", p.name), external = nft_name("external", p.name),
               local_chain = nft_name("local", p.name);
    const auto local = local_backends(rules, p.service);
    fmt::format_to(std::back_inserter(maps.service_ips), "{} . {} . {} : goto {},\n", p.service.cluster_ip, p.protocol,
                   p.service.port, service);
    for (const auto &pod : p.service.backends) {
        line(text, "  chain {} {{", nft_name("endpoint", p.endpoint(pod)));
        line(text, "    ip saddr {} jump mark-for-masquerade", pod);
        line(text, "    meta l4proto {} dnat to {}:{}\n  }}", p.protocol, pod, p.service.port);
    }
    line(text, "  chain {} {{", service);
    line(text, "    ip daddr {} {} dport {} ip saddr != {} jump mark-for-masquerade", p.service.cluster_ip, p.protocol,
         p.service.port, rules.cluster_cidr);
    line(text, "{}\n  }}", nft_balance(p, p.service.backends));
    if (!p.service.node_port) return;
    fmt::format_to(std::back_inserter(maps.node_ports), "{} . {} : goto {},\n", p.protocol, p.service.node_port,
                   external);
    if (p.service.local_policy && !local.empty())
        line(text, "  chain {} {{\n{}\n  }}", local_chain, nft_balance(p, local));
    line(text, "  chain {} {{", external);
    if (!p.service.local_policy) {
        line(text, "    jump mark-for-masquerade\n    goto {}", service);
    } else {
        line(text, "    ip saddr {} goto {}", rules.cluster_cidr, service);
        line(text, "    fib saddr type local jump mark-for-masquerade");
        line(text, "    fib saddr type local goto {}", service);
        if (!local.empty()) line(text, "    goto {}", local_chain);
    }
    line(text, "  }}");
    if (dropped_here(rules, p.service))
        fmt::format_to(std::back_inserter(maps.no_endpoint_ports), "{} . {} : drop,\n", p.protocol,
                       p.service.node_port);
}

std::string elements(const std::string &of_map) {
    return of_map.empty() ? "" : fmt::format("    elements = {{\n{}    }}\n", of_map);
}

/// The table's fixed part: base chains, and the chains that look the maps up.
constexpr const char *kNftChains = R"(
  chain filter-input { type filter hook input priority -110; ct state new jump nodeport-endpoints-check; }
  chain filter-forward { type filter hook forward priority -110;
    ct state invalid counter drop
    ct state new jump nodeport-endpoints-check
  }
  chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
  chain nat-output { type nat hook output priority -100; jump services; }
  chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading; }
  chain nodeport-endpoints-check {
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @no-endpoint-nodeports
  }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
  }
  chain mark-for-masquerade { meta mark set meta mark or 0x4000; }
  chain masquerading {
    meta mark and 0x4000 == 0 return
    meta mark set meta mark xor 0x4000
    masquerade fully-random
  }
)";

std::string nft_host_ports(const NodeRules &rules) {
    std::string text = "table ip cni_hostport {\n"
                       "  chain masquerading { type nat hook postrouting priority srcnat; "
                       "meta mark and 0x2000 == 0x2000 masquerade; }\n"
                       "  chain hostports {\n";
    for (const auto &published : rules.host_ports) {
        for (const auto *protocol : kProtocols) {
            line(text, "    ip saddr {{ {}, 127.0.0.1 }} {} dport {} meta mark set meta mark or 0x2000", published.pod,
                 protocol, published.host_port);
            line(text, "    {} dport {} dnat to {}:{}", protocol, published.host_port, published.pod, published.port);
        }
    }
    return text +
           "  }\n"
           "  chain prerouting { type nat hook prerouting priority dstnat; fib daddr type local jump hostports; }\n"
           "  chain output { type nat hook output priority -100; fib daddr type local jump hostports; }\n}\n";
}

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view word) {
    const auto at = text.find(word);
    if (at == text.npos) return std::nullopt;
    text.remove_prefix(at + word.size());
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return std::nullopt;
    return value;
}

} // namespace

std::string_view name_of(RuleSystem system) { return system == RuleSystem::iptables ? "iptables" : "nftables"; }

std::vector<Service> other_services(unsigned count) {
    std::vector<Service> services;
    for (unsigned n = 0; n < count; ++n) {
        Service service{.name = fmt::format("other-{}", n),
                        .cluster_ip = fmt::format("10.97.{}.{}", n / 250, n % 250 + 1),
                        .port = 80,
                        .node_port = static_cast<std::uint16_t>(31000 + n % 1700),
                        .udp = false};
        for (unsigned i = 0; i <= n % 2; ++i)
            service.backends.push_back(fmt::format("10.244.{}.{}", 100 + i, n % 250 + 2));
        services.push_back(std::move(service));
    }
    return services;
}

std::string iptables_rules(const NodeRules &rules) {
    std::string chains = "*nat\n", text = "-I PREROUTING -j KUBE-SERVICES\n"
                                          "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
                                          "-I OUTPUT -j KUBE-SERVICES\n"
                                          "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
                                          "-A POSTROUTING -j CNI-HOSTPORT-MASQ\n"
                                          "-I POSTROUTING -j KUBE-POSTROUTING\n"
                                          "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
                                          "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n"
                                          "-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n"
                                          "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n"
                                          "-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000\n"
                                          "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE\n";
    for (const auto *chain : {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ",
                              "CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"})
        line(chains, ":{} - [0:0]", chain);
    for (const auto &published : rules.host_ports) iptables_host_port(chains, text, published);
    for (const auto &p : ports_of(rules)) iptables_service(chains, text, rules, p);
    // After every service's own address, as kube-proxy has it.
    line(text, "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS");
    return iptables_filter(rules) + chains + text + "COMMIT\n";
}

std::string nftables_rules(const NodeRules &rules) {
    NftMaps maps;
    std::string chains;
    for (const auto &p : ports_of(rules)) nft_service(maps, chains, rules, p);
    // Verdict maps name the chains, and the fixed chains name the maps: chains first, then maps, then who looks them up.
    return "table ip kube-proxy {\n  chain mark-for-masquerade { }\n" + chains +
           "  map service-ips {\n    type ipv4_addr . inet_proto . inet_service : verdict\n" +
           elements(maps.service_ips) + "  }\n" +
           "  map service-nodeports {\n    type inet_proto . inet_service : verdict\n" + elements(maps.node_ports) +
           "  }\n" + "  map no-endpoint-nodeports {\n    type inet_proto . inet_service : verdict\n" +
           elements(maps.no_endpoint_ports) + "  }\n" + kNftChains + "}\n" + nft_host_ports(rules);
}

Status load_rules(const Netns &node, RuleSystem system, const NodeRules &rules) {
    auto loaded = system == RuleSystem::iptables
                      ? node.run({"iptables-restore", "--noflush", "--wait", "5"}, {.input = iptables_rules(rules)})
                      : node.run({"nft", "-f", "-"}, {.input = nftables_rules(rules)});
    if (!loaded) return fail_as_is(std::move(loaded));
    return {};
}

Result<std::uint64_t> invalid_drops(const Netns &node, RuleSystem system) {
    const bool iptables = system == RuleSystem::iptables;
    auto out = node.run(iptables ? "iptables -v -S KUBE-FORWARD" : "nft list chain ip kube-proxy filter-forward");
    if (!out) return fail_as_is(std::move(out));
    // "-A KUBE-FORWARD -m conntrack --ctstate INVALID -c 0 0 -j DROP", "ct state invalid counter packets 0 bytes 0 drop"
    const auto packets = iptables ? number_after(*out, "--ctstate INVALID -c ")
                                  : number_after(*out, "ct state invalid counter packets ");
    if (!packets) return fail("no rule drops invalid packets: " + *out);
    return *packets;
}

Result<std::uint64_t> conntrack_invalid(const Netns &node) {
    auto out = node.run("conntrack -S");
    if (!out) return fail_as_is(std::move(out));
    std::uint64_t sum = 0; // one line a CPU: "cpu=0 found=0 invalid=0 ..."
    for (std::string_view left = *out; const auto value = number_after(left, " invalid=");) {
        sum += *value;
        left.remove_prefix(left.find(" invalid=") + 1);
    }
    return sum;
}

} // namespace weft::test
