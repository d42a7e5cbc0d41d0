// SPDX-License-Identifier: Apache-2.0
// `weftctl doctor` on a sound node, and on one that is broken in one place after another.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "base/unique_fd.hpp"
#include "rules_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

struct Diagnosis {
    int code = -1;
    std::map<std::string, nlohmann::json> findings; ///< by the check's name

    [[nodiscard]] std::string field(const std::string &check, const char *name) const {
        const auto found = findings.find(check);
        if (found == findings.end() || !found->second[name].is_string()) return "";
        return found->second[name].get<std::string>();
    }
    [[nodiscard]] std::string state(const std::string &check) const { return field(check, "state"); }
    [[nodiscard]] std::string told(const std::string &check) const { return field(check, "found"); }
};

/// A node as a cluster has it: a neighbour, a pod on each, Docker beside it.
class Doctor : public RulesTest {
protected:
    void SetUp() override {
        RulesTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(other_, cluster_->add_stopped_node());
        furnish(*node_, Host::iptables_nft);
        for (auto *node : {node_, other_}) {
            auto with = options({});
            with.ip_masq = true;
            WEFT_ASSERT_OK(node->start(with));
        }
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, other_->add_pod());
    }

    [[nodiscard]] Output doctor_output(std::vector<std::string> more = {}) const {
        std::vector<std::string> argv{binary("weftctl"), "doctor", "--run-dir=" + node_->run_dir().string(),
                                      "--bpf-dir=" + node_->bpf_dir().string(),
                                      "--subnet-file=" + node_->subnet_file().string()};
        argv.insert(argv.end(), more.begin(), more.end());
        auto out = node_->netns().output(argv);
        if (!out) ADD_FAILURE() << out.error().sentence();
        return out.value_or(Output{});
    }
    [[nodiscard]] Diagnosis doctor() const {
        const auto out = doctor_output({"--json"});
        Diagnosis diagnosis{.code = out.code, .findings = {}};
        const auto list = nlohmann::json::parse(out.out, nullptr, false);
        if (!list.is_array()) ADD_FAILURE() << out.out << out.err;
        for (const auto &finding : list) diagnosis.findings[finding.value("name", "")] = finding;
        return diagnosis;
    }
    void expect(const std::string &check, const std::string &state, const std::string &part) const {
        const auto diagnosis = doctor();
        EXPECT_EQ(diagnosis.state(check), state) << check << ": " << diagnosis.told(check);
        EXPECT_THAT(diagnosis.told(check), HasSubstr(part)) << check;
        EXPECT_EQ(diagnosis.code, state == "fail" ? 1 : 0) << check << " decides alone\n" << doctor_output().out;
    }
    /// Breaks the node, expects the one check to see it, and mends it.
    void breaks(const std::string &check, const std::string &state, const std::string &part,
                const std::string &breaking, const std::string &mending) const {
        WEFT_ASSERT_OK(node_->netns().run(std::vector<std::string>{"bash", "-ec", breaking}));
        expect(check, state, part);
        WEFT_ASSERT_OK(node_->netns().run(std::vector<std::string>{"bash", "-ec", mending}));
        EXPECT_EQ(doctor().state(check), "ok") << check << " is mended by: " << mending;
    }
    [[nodiscard]] std::string veth() const {
        const auto rows = node_->weftctl("endpoints");
        return rows && !rows->empty() ? rows->front().value("ifname", "") : "";
    }

    WeftNode *other_ = nullptr;
    Pod *pod_ = nullptr, *remote_ = nullptr;
};

TEST_F(Doctor, FindsNothingOnASoundNode) {
    const auto diagnosis = doctor();
    EXPECT_EQ(diagnosis.code, 0);
    for (const auto &[name, finding] : diagnosis.findings) EXPECT_EQ(finding["state"], "ok") << finding;
    for (const char *name :
         {"daemon", "subnet.env", "next hops", "certificates", "permissions", "forwarding", "rp_filter",
          "bridge-nf-call", "conntrack", "conntrack table", "flannel device", "masquerade", "forward chains",
          "tunnel port", "programs", "other programs", "mtu", "drops"})
        EXPECT_TRUE(diagnosis.findings.contains(name)) << name;
    EXPECT_EQ(diagnosis.told("masquerade"), "in place, in iptables-nft");
    const auto text = doctor_output();
    EXPECT_EQ(times(text.out, "\n"), diagnosis.findings.size()) << text.out;
    EXPECT_EQ(times(text.out, "ok    "), diagnosis.findings.size()) << text.out;
}

class DoctorOf : public Doctor, public testing::WithParamInterface<std::string> {
    [[nodiscard]] std::string net_conf() const override {
        return test::Setup{"tc", WireMode::offload, GetParam()}.net_conf();
    }
};

TEST_P(DoctorOf, FindsNothingOnASoundNode) {
    const auto diagnosis = doctor();
    EXPECT_EQ(diagnosis.code, 0);
    for (const auto &[name, finding] : diagnosis.findings) EXPECT_EQ(finding["state"], "ok") << finding;
    EXPECT_EQ(diagnosis.told("tunnel port"),
              GetParam() == "udp" ? "nothing in the way of UDP port 8285" : GetParam() + " needs no port");
}

INSTANTIATE_TEST_SUITE_P(Backends, DoctorOf, testing::Values("host-gw", "udp", "ipip"), [](const auto &backend) {
    auto name = backend.param;
    std::erase(name, '-');
    return name;
});

TEST_F(Doctor, SeesWhatIsWrongWithTheHost) {
    breaks("forwarding", "fail", "ip_forward=0", "echo 0 >/proc/sys/net/ipv4/ip_forward",
           "echo 1 >/proc/sys/net/ipv4/ip_forward");
    breaks("flannel device", "fail", "flannel.1 is up",
           "ip link add flannel.1 type vxlan id 1 dstport 8473 dev eth0; ip link set flannel.1 up",
           "ip link del flannel.1");
    breaks("mtu", "warn", "pods should have MTU 1450, but " + pod_->address, "ip link set " + veth() + " mtu 1400",
           "ip link set " + veth() + " mtu 1450");
}

TEST_F(Doctor, SeesWhatOthersThanRootCanChange) {
    const auto file = node_->subnet_file().string(), run = node_->run_dir().string();
    breaks("permissions", "warn", "subnet.env (user 0, mode 0666)", "chmod 666 " + file, "chmod 644 " + file);
    breaks("permissions", "warn", "weftd.sock (user 65534, mode 0600)", "chown 65534 " + run + "/weftd.sock",
           "chown 0 " + run + "/weftd.sock");
}

TEST_F(Doctor, SeesFirewallsInTheWay) {
    breaks("forward chains", "fail", "nftables inet filter forward: its policy is DROP",
           "nft 'add table inet filter; add chain inet filter forward { type filter hook forward priority 0; policy "
           "drop; }'",
           "nft insert rule inet filter forward ip saddr 10.244.0.0/16 accept"); // as advised
    breaks("forward chains", "fail", "iptables-nft FORWARD: its rule \"-j DROP\"", "iptables-nft -I FORWARD -j DROP",
           "iptables-nft -D FORWARD -j DROP");
    breaks("forward chains", "fail", "iptables-legacy FORWARD: its policy is DROP", "iptables-legacy -P FORWARD DROP",
           "iptables-legacy -P FORWARD ACCEPT");
    breaks("tunnel port", "fail", "--dport 8472 -j DROP", "iptables-nft -A INPUT -p udp --dport 8472 -j DROP",
           "iptables-nft -D INPUT -p udp --dport 8472 -j DROP");
    breaks("tunnel port", "warn", "nftables inet filter input: its policy is DROP",
           "nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'",
           "nft insert rule inet filter input udp dport 8472 accept"); // as advised
}

TEST_F(Doctor, IsRightAboutWhatAClosedTunnelPortStops) {
    WEFT_ASSERT_OK(node_->netns().run("iptables-nft -A INPUT -p udp --dport 8472 -j DROP"));
    EXPECT_FALSE(ping(remote_->ns, pod_->address, 1, "-W 1")) << "the kernel would have to decapsulate it";
    WEFT_EXPECT_OK(tcp_transfer(remote_->ns, pod_->address, 1 << 20));
}

TEST_F(Doctor, SeesWhatIsWrongWithThePacketPath) {
    const auto pod_end = veth();
    WEFT_ASSERT_OK(node_->netns().run(fmt::format("tc qdisc del dev {} clsact", pod_end)));
    expect("programs", "fail", "no program on " + pod_end); // until weftd looks again
}

TEST_F(Doctor, SeesANeighbourThatDoesNotAnswer) {
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    WEFT_ASSERT_OK(node_->wait_for_leases(2));
    (void)node_->netns().output(words("ping -c 1 -W 1 192.0.2.77")); // somebody has to ask
    expect("next hops", "warn", "no answer to ARP or neighbour discovery from 192.0.2.77 (to 10.244.77.0/24)");
}

TEST_F(Doctor, TellsOfWhatWasJustDropped) {
    WEFT_ASSERT_OK(
        cluster_->world().ip(fmt::format("link add rogue type vxlan id 1 remote 192.0.2.1 dstport 8472 dev eth0\n"
                                         "addr add 10.244.99.1/16 dev rogue\n"
                                         "link set rogue up\n"
                                         "neigh add {} lladdr {} dev rogue",
                                         pod_->address, "02:77:c0:00:02:01")));
    (void)cluster_->world().output(words("ping -c 2 -i 0.1 -W 1 " + pod_->address));
    expect("drops", "warn", "unknown_sender");
    EXPECT_THAT(doctor().field("drops", "advice"), HasSubstr("a node without a lease"));
}

TEST_F(Doctor, SeesProgramsThatComeFirst) {
    // r0 = 2 (XDP_PASS); exit
    const bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_XDP, "somebodys", "GPL", pass, std::size(pass), nullptr));
    ASSERT_TRUE(program) << errno;
    const auto on_uplink = [&](int fd) {
        return node_->netns().run_in([fd]() -> Status {
            const int err = bpf_xdp_attach(static_cast<int>(if_nametoindex("eth0")), fd, XDP_FLAGS_DRV_MODE, nullptr);
            return err == 0 ? Status() : fail_errno(-err, "attach");
        });
    };
    WEFT_ASSERT_OK(on_uplink(program.get()));
    expect("other programs", "warn", "somebodys on eth0 xdp before weft's");
    WEFT_ASSERT_OK(on_uplink(-1));
    EXPECT_EQ(doctor().state("other programs"), "ok");
}

TEST_F(Doctor, WorksWithoutADaemonAndSaysThatThereIsNone) {
    WEFT_ASSERT_OK(node_->stop());
    auto diagnosis = doctor();
    EXPECT_EQ(diagnosis.code, 1);
    EXPECT_EQ(diagnosis.told("daemon"), "weftd does not run");
    EXPECT_EQ(diagnosis.state("drops"), "warn") << "nobody remembers the last minute";
    diagnosis.findings.erase("daemon");
    diagnosis.findings.erase("drops");
    for (const auto &[name, finding] : diagnosis.findings) EXPECT_EQ(finding["state"], "ok") << finding;
    // What a running weftd would put right before anybody looks:
    WEFT_ASSERT_OK(node_->netns().run("iptables-nft -t nat -F"));
    WEFT_ASSERT_OK(node_->netns().run("ip link set eth0 mtu 1400"));
    WEFT_ASSERT_OK(write_file(node_->subnet_file(), "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.250.1/24\n"
                                                    "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"));
    diagnosis = doctor();
    EXPECT_EQ(diagnosis.state("masquerade"), "fail") << diagnosis.told("masquerade");
    EXPECT_EQ(diagnosis.state("mtu"), "fail") << diagnosis.told("mtu");
    EXPECT_EQ(diagnosis.state("subnet.env"), "fail") << diagnosis.told("subnet.env");
    WEFT_ASSERT_OK(node_->netns().run("ip link del weft.1"));
    EXPECT_EQ(doctor().told("programs"), "weft.1 is not there");
}

TEST_F(Doctor, IsRightThatRpFilterIsNoObstacle) {
    for (const char *value : {"1", "2", "0"}) {
        for (auto *node : {node_, other_})
            for (const char *name : {"net.ipv4.conf.all.rp_filter", "net.ipv4.conf.eth0.rp_filter"})
                WEFT_ASSERT_OK(node->netns().sysctl(name, value));
        WEFT_ASSERT_OK(node_->netns().run(std::vector<std::string>{
            "bash", "-ec", fmt::format("echo {} >/proc/sys/net/ipv4/conf/weft.1/rp_filter", value)}));
        WEFT_EXPECT_OK(ping(pod_->ns, remote_->address));
        WEFT_EXPECT_OK(ping(node_->netns(), remote_->address));
        WEFT_EXPECT_OK(ping(other_->netns(), pod_->address));
        WEFT_EXPECT_OK(tcp_transfer(pod_->ns, remote_->address, 1 << 20));
        EXPECT_EQ(doctor().state("rp_filter"), "ok");
        EXPECT_THAT(doctor().told("rp_filter"), HasSubstr(fmt::format("weft.1={}", value)));
    }
}

} // namespace
} // namespace weft::test
