// SPDX-License-Identifier: Apache-2.0
#include "daemon/flags.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Env = std::map<std::string, std::string>;

Result<std::variant<ParsedFlags, PrintAndExit>> parse(const std::vector<std::string> &args, const Env &env = {}) {
    return parse_flags(args, [&env](const std::string &name) {
        const auto found = env.find(name);
        return found == env.end() ? std::nullopt : std::optional(found->second);
    });
}

Options options(const std::vector<std::string> &args, const Env &env = {}) {
    auto parsed = parse(args, env);
    if (!parsed) {
        ADD_FAILURE() << parsed.error().sentence();
        return {};
    }
    return std::get<ParsedFlags>(*parsed).options;
}

std::string error_of(const std::vector<std::string> &args, const Env &env = {}) {
    auto parsed = parse(args, env);
    return parsed ? "accepted" : parsed.error().sentence();
}

TEST(Flags, DefaultsAreFlannels) {
    const auto o = options({});
    EXPECT_THAT(o.etcd.endpoints, ElementsAre("http://127.0.0.1:4001", "http://127.0.0.1:2379"));
    EXPECT_EQ(o.etcd.prefix, "/coreos.com/network");
    EXPECT_EQ(o.subnet_file, "/run/flannel/subnet.env");
    EXPECT_EQ(o.renew_margin, std::chrono::minutes(60));
    EXPECT_FALSE(o.ip_masq);
    EXPECT_TRUE(o.forward_rules);
    EXPECT_EQ(o.rules_resync, std::chrono::seconds(5));
    EXPECT_EQ(o.firewall, FirewallChoice::automatic);
    EXPECT_EQ(o.healthz_ip.to_string(), "0.0.0.0");
    EXPECT_EQ(o.healthz_port, 0);
    EXPECT_EQ(o.run_dir, "/run/weft");
    EXPECT_EQ(o.bpf_dir, "/sys/fs/bpf/weft");
    EXPECT_EQ(o.datapath, DatapathMode::automatic);
    EXPECT_TRUE(o.fast_path);
}

TEST(Flags, TurnTheFastPathOff) {
    for (const auto *arg : {"--fast-path=off", "-fast-path=false"}) EXPECT_FALSE(options({arg}).fast_path) << arg;
    EXPECT_TRUE(options({"--fast-path=on"}).fast_path);
}

TEST(Flags, RelaxChecksOneByOneOrAll) {
    const auto plain = options({}).checks;
    EXPECT_EQ(plain.of(WEFT_R_UNKNOWN_SENDER), WEFT_CHECK_ENFORCE);
    EXPECT_EQ(plain.of(WEFT_R_FOREIGN_SOURCE), WEFT_CHECK_COUNT);
    EXPECT_EQ(to_string(plain), "");
    const auto some = options({"--check=pod_mac=count", "--check", "socket_guard=off"}).checks;
    EXPECT_EQ(some.of(WEFT_R_POD_MAC), WEFT_CHECK_COUNT);
    EXPECT_EQ(some.of(WEFT_R_POD_ARP), WEFT_CHECK_ENFORCE);
    EXPECT_EQ(to_string(some), "pod_mac=count, socket_guard=off");
    const auto all = options({"--check=all=off", "--check=unknown_sender=enforce"}).checks;
    EXPECT_EQ(all.of(WEFT_R_UNKNOWN_SENDER), WEFT_CHECK_ENFORCE);
    EXPECT_EQ(all.of(WEFT_R_POD_MAC), WEFT_CHECK_OFF);
    EXPECT_EQ(all.socket_guard, WEFT_CHECK_OFF);
    const auto env = options({}, {{"WEFT_CHECK", "pod_mac=off,foreign_source=enforce"}}).checks;
    EXPECT_EQ(to_string(env), "foreign_source=enforce, pod_mac=off");
}

TEST(Flags, SayWhichChecksAndModesThereAre) {
    EXPECT_THAT(error_of({"--check=bad_ip=off"}), HasSubstr("\"bad_ip\" is none of all, socket_guard, wrong_vni"));
    EXPECT_THAT(error_of({"--check=pod_mac"}), HasSubstr("one of enforce, count, off"));
    EXPECT_THAT(error_of({"--check=pod_mac=maybe"}), HasSubstr("one of enforce, count, off"));
}

TEST(Flags, TakeOneDashOrTwoAndEqualsOrTheNextWord) {
    for (const std::vector<std::string> &args :
         {std::vector<std::string>{"-etcd-prefix=/a", "-iface", "eth1"}, {"--etcd-prefix", "/a", "--iface=eth1"}}) {
        const auto o = options(args);
        EXPECT_EQ(o.etcd.prefix, "/a");
        EXPECT_THAT(o.uplink.ifaces, ElementsAre("eth1"));
    }
}

TEST(Flags, AValueMayBeginWithADash) { EXPECT_EQ(options({"--etcd-password", "-s3cret"}).etcd.password, "-s3cret"); }

TEST(Flags, BooleansAreGos) {
    EXPECT_TRUE(options({"--ip-masq"}).ip_masq);
    EXPECT_TRUE(options({"-ip-masq=true"}).ip_masq);
    EXPECT_TRUE(options({"-ip-masq=1"}).ip_masq);
    EXPECT_FALSE(options({"--ip-masq=false"}).ip_masq);
    EXPECT_FALSE(options({"--ip-masq=F"}).ip_masq);
    EXPECT_FALSE(options({"--ip-masq", "--ip-masq=false"}).ip_masq);
    EXPECT_THAT(error_of({"--ip-masq=perhaps"}), HasSubstr("--ip-masq"));
    EXPECT_FALSE(options({"--ip-masq-fully-random-disable"}).masq_random_ports);
}

TEST(Flags, InterfacesRepeatAndKeepTheirOrder) {
    const auto o = options({"--iface=eth1", "--iface=10.0.0.1", "--iface-regex=^en", "--iface-regex", "10\\.1\\..*"});
    EXPECT_THAT(o.uplink.ifaces, ElementsAre("eth1", "10.0.0.1"));
    EXPECT_THAT(o.uplink.iface_regexes, ElementsAre("^en", "10\\.1\\..*"));
    EXPECT_TRUE(o.uplink.names_an_interface());
    EXPECT_FALSE(options({"--public-ip=1.2.3.4"}).uplink.names_an_interface());
}

TEST(Flags, TheLastOfASingleFlagWins) {
    EXPECT_EQ(options({"--etcd-prefix=/a", "--etcd-prefix=/b"}).etcd.prefix, "/b");
}

TEST(Flags, CommandLineThenWeftThenFlannelEnvironment) {
    const Env both{{"WEFT_ETCD_PREFIX", "/weft"}, {"FLANNELD_ETCD_PREFIX", "/flannel"}, {"FLANNELD_IP_MASQ", "true"}};
    EXPECT_EQ(options({"--etcd-prefix=/line"}, both).etcd.prefix, "/line");
    EXPECT_EQ(options({}, both).etcd.prefix, "/weft");
    EXPECT_TRUE(options({}, both).ip_masq);
    EXPECT_FALSE(options({"--ip-masq=false"}, both).ip_masq);
    EXPECT_EQ(options({}, {{"FLANNELD_ETCD_PREFIX", "/flannel"}, {"WEFT_ETCD_PREFIX", ""}}).etcd.prefix, "/flannel");
    EXPECT_THAT(options({}, {{"FLANNELD_IFACE", "eth7"}}).uplink.ifaces, ElementsAre("eth7"));
}

TEST(Flags, AnEmptyValueIsTheDefaultAndHidesTheEnvironment) {
    const Env env{{"FLANNELD_PUBLIC_IP", "1.2.3.4"}};
    EXPECT_EQ(options({}, env).uplink.public_ip, *parse_ip4("1.2.3.4"));
    EXPECT_EQ(options({"--public-ip=", "--iface=eth0"}, env).uplink.public_ip, std::nullopt);
}

TEST(Flags, ConfigurationFileStandsBehindEnvironmentAndCommandLine) {
    const std::string path = "/tmp/weft-flags-test-" + std::to_string(getpid());
    std::ofstream(path) << "etcd-prefix = \"/file\"\nip-masq = true\nhealthz-port = 8081\n"
                        << "etcd-endpoints = \"http://a:1,http://b:2\"\n";
    const auto o = options({"--config", path});
    EXPECT_EQ(o.etcd.prefix, "/file");
    EXPECT_TRUE(o.ip_masq);
    EXPECT_EQ(o.healthz_port, 8081);
    EXPECT_THAT(o.etcd.endpoints, ElementsAre("http://a:1", "http://b:2"));
    EXPECT_EQ(options({"--config", path}, {{"FLANNELD_ETCD_PREFIX", "/env"}}).etcd.prefix, "/env");
    EXPECT_EQ(options({"--config", path, "--etcd-prefix=/line"}).etcd.prefix, "/line");
    std::ofstream(path) << "etcd-prefx = \"/file\"\n";
    EXPECT_THAT(error_of({"--config", path}), HasSubstr("etcd-prefx"));
    unlink(path.c_str());
    EXPECT_THAT(error_of({"--config", path}), HasSubstr(path));
}

TEST(Flags, VersionAndHelpPrint) {
    auto version = parse({"-version"});
    ASSERT_TRUE(version);
    EXPECT_EQ(std::get<PrintAndExit>(*version).text, "weftd " WEFT_VERSION "\n");
    auto help = parse({"--help"});
    ASSERT_TRUE(help);
    for (const char *flag : {"--etcd-endpoints", "--iface-regex", "--ip-masq", "--run-dir", "--datapath"})
        EXPECT_THAT(std::get<PrintAndExit>(*help).text, HasSubstr(flag));
}

TEST(Flags, FirewallFlagsAreFlannelsAndOurs) {
    const auto o =
        options({"--firewall=iptables", "-iptables-resync=1"}, {{"FLANNELD_IPTABLES_FORWARD_RULES", "false"}});
    EXPECT_EQ(o.firewall, FirewallChoice::iptables);
    EXPECT_EQ(o.rules_resync, std::chrono::seconds(1));
    EXPECT_FALSE(o.forward_rules);
    EXPECT_EQ(options({}, {{"WEFT_FIREWALL", "nftables"}}).firewall, FirewallChoice::nftables);
}

TEST(Flags, PeerBackendsAreNamedAsInTheConfiguration) {
    using Encaps = std::set<weft_encap>;
    EXPECT_EQ(options({}).peer_backends, Encaps{});
    EXPECT_EQ(options({"--peer-backends=host-gw"}).peer_backends, Encaps{WEFT_ENCAP_DIRECT});
    EXPECT_EQ(options({}, {{"WEFT_PEER_BACKENDS", "udp,vxlan,udp"}}).peer_backends,
              (Encaps{WEFT_ENCAP_VXLAN, WEFT_ENCAP_UDP}));
}

struct Bad {
    std::vector<std::string> args;
    std::vector<std::string> said; ///< parts of the sentence: flag, found, expected
};

TEST(Flags, ABadOneIsNamedWithWhatWasFoundAndExpected) {
    const Bad table[] = {
        {{"--no-such-flag"}, {"--no-such-flag", "not a flag"}},
        {{"-subnet-lease-renew-margn=5"}, {"--subnet-lease-renew-margn"}},
        {{"eth0"}, {"\"eth0\"", "flag expected"}},
        {{"--"}, {"flag expected"}},
        {{"--subnet-lease-renew-margin=0"}, {"--subnet-lease-renew-margin", "\"0\"", "1 to 1439"}},
        {{"--subnet-lease-renew-margin=1440"}, {"\"1440\"", "1 to 1439"}},
        {{"--subnet-lease-renew-margin=1h"}, {"\"1h\"", "1 to 1439"}},
        {{"--healthz-port=70000"}, {"--healthz-port", "70000", "65535"}},
        {{"--healthz-ip=nowhere"}, {"--healthz-ip", "\"nowhere\"", "IP address"}},
        {{"--public-ip=300.1.1.1"}, {"--public-ip", "\"300.1.1.1\"", "IPv4 address"}},
        {{"--public-ip=10.0.0.0/8"}, {"--public-ip", "\"10.0.0.0/8\"", "IPv4 address"}},
        {{"--public-ipv6=1.2.3.4"}, {"--public-ipv6", "IPv6 address"}},
        {{"--iface-can-reach=x"}, {"--iface-can-reach", "\"x\""}},
        {{"--iface-regex=("}, {"--iface-regex", "\"(\"", "regular expression"}},
        {{"--etcd-endpoints=ftp://10.0.0.1"}, {"--etcd-endpoints", "ftp://10.0.0.1", "http://host:port"}},
        {{"--etcd-endpoints=http://a,,http://b"}, {"--etcd-endpoints", "\"\""}},
        {{"--etcd-certfile=/a"}, {"--etcd-certfile", "--etcd-keyfile"}},
        {{"--etcd-prefix=/"}, {"--etcd-prefix", "\"/\""}},
        {{"--log-level=loud"}, {"--log-level", "loud", "debug, info, warn, error"}},
        {{"--datapath=dpdk"}, {"--datapath", "dpdk", "auto, tc, xdp"}},
        {{"--firewall=ufw"}, {"--firewall", "ufw", "auto, nftables, iptables"}},
        {{"--peer-backends=wireguard"}, {"--peer-backends", "\"wireguard\"", "vxlan, host-gw, udp, ipip"}},
        {{"--peer-backends=vxlan,"}, {"--peer-backends", "\"\"", "vxlan, host-gw, udp, ipip"}},
        {{"--iptables-resync=0"}, {"--iptables-resync", "\"0\"", "1 to 86400"}},
        {{"--kube-subnet-mgr"}, {"--kube-subnet-mgr", "etcd"}},
        {{"--iface"}, {"--iface"}},
    };
    for (const auto &bad : table) {
        const auto sentence = error_of(bad.args);
        for (const auto &part : bad.said) EXPECT_THAT(sentence, HasSubstr(part)) << bad.args[0];
        EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
    }
}

TEST(Flags, ABadValueFromTheEnvironmentNamesTheVariable) {
    EXPECT_THAT(error_of({}, {{"FLANNELD_HEALTHZ_PORT", "x"}}), HasSubstr("FLANNELD_HEALTHZ_PORT"));
    EXPECT_THAT(error_of({}, {{"FLANNELD_KUBE_SUBNET_MGR", "true"}}), HasSubstr("--kube-subnet-mgr"));
}

TEST(Flags, ThoseWithoutMeaningHereWarnOnce) {
    auto parsed =
        parse({"--ip-blackhole-route", "-v=4", "--kube-subnet-mgr=false"}, {{"FLANNELD_KUBE_API_URL", "http://k"}});
    ASSERT_TRUE(parsed) << parsed.error().sentence();
    EXPECT_THAT(std::get<ParsedFlags>(*parsed).warnings,
                ::testing::UnorderedElementsAre(HasSubstr("--ip-blackhole-route"), HasSubstr("--v "),
                                                HasSubstr("--kube-api-url")));
}

std::vector<std::string> warnings(const std::vector<std::string> &args, const Env &env = {}) {
    auto parsed = parse(args, env);
    return parsed ? std::get<ParsedFlags>(*parsed).warnings : std::vector<std::string>{parsed.error().sentence()};
}

/// A file of that mode, which goes with it.
class FileOfMode {
public:
    FileOfMode(const std::string &text, mode_t mode)
        : path_((std::filesystem::temp_directory_path() / ("weft-test-" + std::to_string(::getpid()) + "-mode"))
                    .string()) {
        std::ofstream(path_) << text;
        ::chmod(path_.c_str(), mode);
    }
    ~FileOfMode() { std::filesystem::remove(path_); }
    FileOfMode(const FileOfMode &) = delete;
    const std::string path_;
};

TEST(Flags, TellWhoElseMayReadThePassword) {
    const std::string tls = "--etcd-endpoints=https://192.0.2.1:2379";
    EXPECT_THAT(warnings({tls, "--etcd-password=hunter2"}), ElementsAre(HasSubstr("on the command line")));
    EXPECT_THAT(warnings({tls}, {{"WEFT_ETCD_PASSWORD", "hunter2"}}), ElementsAre());
    {
        const FileOfMode open("hunter2", 0644);
        EXPECT_THAT(warnings({tls, "--etcd-password-file=" + open.path_}), ElementsAre(HasSubstr(open.path_)));
        EXPECT_THAT(warnings({tls, "--etcd-certfile=c", "--etcd-keyfile=" + open.path_}),
                    ElementsAre(HasSubstr(open.path_)));
    }
    {
        const FileOfMode closed("hunter2", 0600);
        EXPECT_THAT(warnings({tls, "--etcd-password-file=" + closed.path_}), ElementsAre());
    }
    for (const mode_t mode : {0644, 0600}) {
        const FileOfMode config("etcd-password = \"hunter2\"\n", mode);
        const auto said = warnings({tls, "--config=" + config.path_});
        EXPECT_EQ(said.size(), mode == 0644 ? 1U : 0U) << ::testing::PrintToString(said);
        for (const auto &line : said) EXPECT_THAT(line, HasSubstr(config.path_ + ": every user may read it"));
    }
    EXPECT_THAT(warnings({"--etcd-username=weft"}), ElementsAre(HasSubstr("http://")));
    EXPECT_THAT(warnings({"--etcd-username=weft", "--etcd-endpoints=10.0.0.1:1", "--etcd-cafile=x"}), ElementsAre());
    for (const auto &args : {std::vector<std::string>{"--etcd-password=hunter2", "--etcd-password-file=/x"},
                             {"--etcd-password=hunter2", "--no-such"},
                             {"--etcd-password=hunter2", "--public-ip=x"}})
        EXPECT_THAT(error_of(args), ::testing::Not(HasSubstr("hunter2")));
    EXPECT_THAT(error_of({"--etcd-password=a", "--etcd-password-file=/x"}), HasSubstr("both"));
}

} // namespace
} // namespace weft
