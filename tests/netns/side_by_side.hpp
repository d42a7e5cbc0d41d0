// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {

/// Two nodes of one kind with their pods: what a test asks of weft's, it can ask of flannel's in the same words.
struct Pair {
    std::string kind; ///< "weft", "flannel"
    const Netns *near_node = nullptr, *far_node = nullptr;
    Pod *pod = nullptr, *neighbour = nullptr; ///< on the near node
    Pod *peer = nullptr;                      ///< on the far node
    std::string near_base, far_base;          ///< addresses of weft.1 or flannel.1
    std::string near_address, far_address;    ///< of the uplinks

    /// By its role: "pod", "neighbour", "peer", "near node", "far node".
    [[nodiscard]] const Netns &place(std::string_view role) const {
        if (role == "pod") return pod->ns;
        if (role == "neighbour") return neighbour->ns;
        if (role == "peer") return peer->ns;
        return role == "near node" ? *near_node : *far_node;
    }
    /// Each address of the pair and the name of its role.
    [[nodiscard]] std::map<std::string, std::string> roles() const {
        const auto gateway = [](const std::string &base) { return (*parse_ip4(base) + 1).to_string(); };
        return {{pod->address, "pod"},
                {neighbour->address, "neighbour"},
                {peer->address, "peer"},
                {near_base, "near-vtep"},
                {far_base, "far-vtep"},
                {gateway(near_base), "near-gateway"},
                {gateway(far_base), "far-gateway"},
                {near_address, "near-node"},
                {far_address, "far-node"}};
    }
    [[nodiscard]] std::string address_of(std::string_view role) const {
        for (const auto &[address, name] : roles()) {
            if (name == role) return address;
        }
        return {};
    }
    /// `text` with roles in place of addresses.
    [[nodiscard]] std::string named(std::string_view text) const {
        const auto names = roles();
        std::string out;
        for (std::size_t at = 0; at < text.size();) {
            const auto end = std::min(text.find_first_not_of("0123456789.", at), text.size());
            const std::string token(text.substr(at, end - at));
            const auto role = names.find(token);
            out += role == names.end() ? token : role->second;
            for (at = end;
                 at < text.size() && std::string_view("0123456789.").find(text[at]) == std::string_view::npos;)
                out += text[at++];
        }
        return out;
    }
};

/// A pair of weft nodes and a pair as flannel sets them up, on one segment; `far`: the second node of each pair behind the
/// router. Every kernel answers with as much ICMP as it is asked for.
class SideBySide : public ClusterTest {
protected:
    void build(bool far) {
        WEFT_ASSERT_ASSIGN(weft_near_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(weft_far_, cluster_->add_node(far));
        WEFT_ASSERT_ASSIGN(auto *flannel_near, cluster_->add_flannel_node());
        WEFT_ASSERT_ASSIGN(auto *flannel_far, cluster_->add_flannel_node("vxlan", far));
        WEFT_ASSERT_OK(cluster_->settle());
        const std::string prefix = far ? "198.51.100." : "192.0.2.";
        weft_ = {.kind = "weft", .near_address = "192.0.2.1", .far_address = prefix + "2"};
        flannel_ = {.kind = "flannel", .near_address = "192.0.2.3", .far_address = prefix + "4"};
        WEFT_ASSERT_ASSIGN(weft_.near_base, weft_near_->base_address());
        WEFT_ASSERT_ASSIGN(weft_.far_base, weft_far_->base_address());
        flannel_.near_base = flannel_near->base_address();
        flannel_.far_base = flannel_far->base_address();
        add_pods(weft_, *weft_near_, *weft_far_);
        add_pods(flannel_, *flannel_near, *flannel_far);
    }

    void add_pods(Pair &pair, auto &near, auto &far) {
        pair.near_node = &near.netns();
        pair.far_node = &far.netns();
        WEFT_ASSERT_ASSIGN(pair.pod, near.add_pod());
        WEFT_ASSERT_ASSIGN(pair.neighbour, near.add_pod());
        WEFT_ASSERT_ASSIGN(pair.peer, far.add_pod());
        for (const auto *role : {"near node", "far node", "pod", "neighbour", "peer"})
            WEFT_ASSERT_OK(pair.place(role).sysctl("net.ipv4.icmp_ratelimit", "0"));
    }

    /// Both, flannel's first: what weft's are compared with.
    [[nodiscard]] std::vector<const Pair *> pairs() const { return {&flannel_, &weft_}; }

    WeftNode *weft_near_ = nullptr, *weft_far_ = nullptr;
    Pair weft_, flannel_;
};

} // namespace weft::test
