// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sstream>

#include "daemon_fixture.hpp"

namespace weft::test {

/// A host by the rule system that its own rules are kept in.
enum class Host { nftables, iptables_nft, iptables_legacy };
inline constexpr Host kHosts[] = {Host::nftables, Host::iptables_nft, Host::iptables_legacy};

inline std::string name_of(Host host) {
    return host == Host::nftables ? "nftables" : host == Host::iptables_nft ? "iptables_nft" : "iptables_legacy";
}
inline void PrintTo(Host host, std::ostream *out) { *out << name_of(host); }
inline std::string host_name(const testing::TestParamInfo<Host> &host) { return name_of(host.param); }
/// As `weftctl status` calls it.
inline std::string rules_of(Host host) {
    return host == Host::nftables ? "nftables" : host == Host::iptables_nft ? "iptables-nft" : "iptables-legacy";
}

/// What Docker makes of a host, shortened: forwarding is dropped unless it is its own.
inline constexpr const char *kDockerRules = R"(*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
)";

/// Nodes with firewalls.
class RulesTest : public DaemonTest {
protected:
    void SetUp() override {
        DaemonTest::SetUp();
        WEFT_REQUIRES(requires_tools({"nft", "iptables-nft-restore", "iptables-legacy-restore"}));
    }

    /// Gives a node's host rules of its own.
    static void furnish(const WeftNode &node, Host host) {
        using Words = std::vector<std::string>;
        const auto done = host == Host::nftables
                              ? node.netns().run(Words{"nft", "add table ip others; add chain ip others keep; "
                                                              "add rule ip others keep ip daddr 203.0.113.7 counter"})
                              : node.netns().run(Words{rules_of(host) + "-restore"}, {.input = kDockerRules});
        WEFT_ASSERT_OK(done);
    }
    [[nodiscard]] WeftNode::Options masquerading(std::vector<std::string> flags = {}) const {
        auto with = options(std::move(flags));
        with.ip_masq = true;
        with.flags.push_back("--iptables-resync=1"); // legacy rules: nobody tells of changes to them
        return with;
    }

    /// Everything a rule system has, without counters and comments; empty: nothing.
    [[nodiscard]] static std::string rules(const WeftNode &node, Host host) {
        const auto out = node.netns().run(host == Host::nftables ? "nft -s list ruleset ip" : rules_of(host) + "-save");
        if (!out) ADD_FAILURE() << out.error().sentence();
        std::istringstream lines(out.value_or(""));
        std::string text;
        for (std::string line; std::getline(lines, line);)
            if (!line.starts_with('#')) text += line.substr(0, line.find(" [")) + "\n";
        return text;
    }
    [[nodiscard]] std::string rules(Host host) const { return rules(*node_, host); }
    /// The lines among them that are weft's.
    [[nodiscard]] std::string our_rules(Host host) const {
        if (host == Host::nftables) {
            const auto out = node_->netns().output(words("nft list table ip weft"));
            return out ? out->out : "";
        }
        return lines_with(rules(host), "WEFT-", true);
    }
    [[nodiscard]] static std::string lines_with(const std::string &text, std::string_view part, bool with) {
        std::istringstream lines(text);
        std::string kept;
        for (std::string line; std::getline(lines, line);)
            if (line.contains(part) == with) kept += line + "\n";
        return kept;
    }
    [[nodiscard]] std::string rules_in_use() const {
        return status().value("/firewall/rules"_json_pointer, std::string());
    }
};

} // namespace weft::test
