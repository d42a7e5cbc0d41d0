// SPDX-License-Identifier: Apache-2.0
// Certificates that change, end, or are of no use, while a node goes on.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "etcd/client.hpp"
#include "etcd/tls_files.hpp"

#include "node.hpp"
#include "tls.hpp"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// The node takes none of the subnets that hears_of() leases to others.
constexpr const char *kConfigWithRoom =
    R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.100.0","Backend":{"Type":"vxlan"}})";

/// Files behind links as Kubernetes mounts a secret: certfile -> ..data/client.pem, and ..data -> the version that counts.
class Rotation : public Tls {
protected:
    void SetUp() override {
        Tls::SetUp();
        issue("client2", "extendedKeyUsage=clientAuth");
        version("one", "client");
        version("two", "client2");
        for (const char *name : {"client.pem", "client.key", "ca.pem"})
            fs::create_symlink(fs::path("..data") / name, mounted() / name);
        turn_to("one");
    }
    [[nodiscard]] fs::path mounted() const { return *dir_ / "mounted"; }
    void version(const std::string &name, const std::string &client) {
        fs::create_directories(mounted() / name);
        fs::copy(file(client + ".pem"), mounted() / name / "client.pem");
        fs::copy(file(client + ".key"), mounted() / name / "client.key");
        fs::copy(file("ca.pem"), mounted() / name / "ca.pem");
    }
    void turn_to(const std::string &name) {
        fs::create_symlink(name, mounted() / "..data_tmp");
        fs::rename(mounted() / "..data_tmp", mounted() / "..data");
    }
    /// Certificates that are written in place.
    void overwrite(const std::string &name, const std::string &text) {
        ASSERT_TRUE(write_file(mounted() / "one" / name, text));
    }
    weft::EtcdOptions options(const EtcdServer &etcd) const {
        auto all = options_for(etcd);
        all.cafile = mounted() / "ca.pem";
        all.certfile = mounted() / "client.pem";
        all.keyfile = mounted() / "client.key";
        return all;
    }
    static LeaseTuning attentive() {
        auto tuning = quick();
        tuning.look_at_files = 50ms;
        return tuning;
    }
    /// Whether another node's lease is told of: the watch is alive.
    bool hears_of(EtcdServer &etcd, Node &node, int n) {
        const auto subnet = "10.5." + std::to_string(n) + ".0", address = "192.0.2." + std::to_string(n);
        const auto put = etcd.put(kSubnets + subnet + "-24", vxlan_value(address));
        return put && wait_until([&] { return node.peers().contains(subnet + "/24"); }, 10s);
    }
};

/// This process's connections to a port of 127.0.0.1; etcd has some to itself.
std::set<std::string> connections_to(std::uint16_t port) {
    std::set<std::string> sockets, found;
    std::error_code gone;
    for (const auto &fd : fs::directory_iterator("/proc/self/fd"))
        if (const auto target = fs::read_symlink(fd.path(), gone).string(); target.starts_with("socket:["))
            sockets.insert(target);
    std::ifstream table("/proc/self/net/tcp6"); // gRPC's sockets are of both families
    std::string line, slot, local, remote, state, queues, timer, retries, user, timeout, inode;
    std::getline(table, line);
    while (std::getline(table, line)) {
        std::istringstream(line) >> slot >> local >> remote >> state >> queues >> timer >> retries >> user >> timeout >>
            inode;
        const bool established = state == "01" && remote.ends_with(fmt::format("0100007F:{:04X}", port));
        if (established && sockets.contains("socket:[" + inode + "]")) found.insert(local);
    }
    return found;
}

TEST_F(Rotation, NewFilesAreTakenWithoutALostEvent) {
    ASSERT_ETCD(etcd, server(true));
    ASSERT_TRUE(etcd.put(kConfigKey, kConfigWithRoom));
    Node node(options(etcd), "192.0.2.1", attentive());
    node.join();
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    ASSERT_TRUE(hears_of(etcd, node, 11)) << node.describe();
    const auto before = connections_to(etcd.port());
    ASSERT_FALSE(before.empty());

    turn_to("two");
    ASSERT_TRUE(node.wait_for("certificate files have changed")) << node.describe();
    for (int n = 12; n < 20; ++n) EXPECT_TRUE(hears_of(etcd, node, n)) << n << node.describe();
    EXPECT_TRUE(wait_until([&] {
        const auto now = connections_to(etcd.port());
        return !now.empty() && std::ranges::none_of(before, [&](const auto &one) { return now.contains(one); });
    })) << "nothing is left of the connections with the old certificate";
    EXPECT_EQ(node.count("snapshot"), 1U) << "the watch went on from where it was\n" << node.describe();
    EXPECT_EQ(node.count("status"), 1U) << node.describe();
    EXPECT_EQ(node.state(), LeaseState::held);
}

TEST_F(Rotation, AFileOfNoUseChangesNothingAndIsNamed) {
    ASSERT_ETCD(etcd, server(true));
    ASSERT_TRUE(etcd.put(kConfigKey, kConfigWithRoom));
    Node node(options(etcd), "192.0.2.1", attentive());
    node.join();
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    overwrite("client.key", "-----BEGIN PRIVATE KEY-----\nhalf of");
    ASSERT_TRUE(node.wait_for("client.key: no private key")) << node.describe();
    EXPECT_TRUE(hears_of(etcd, node, 11)) << node.describe();
    ASSERT_TRUE(etcd.restart()); // also a new connection has what was good
    EXPECT_TRUE(hears_of(etcd, node, 12)) << node.describe();
    overwrite("client.key", read_file(file("client2.key")).value());
    ASSERT_TRUE(node.wait_for("is not the key of the certificate")) << node.describe();
    fs::remove(mounted() / "one" / "client.key");
    ASSERT_TRUE(node.wait_for("client.key: No such file")) << node.describe();
    turn_to("two");
    ASSERT_TRUE(node.wait_for("certificate files have changed")) << node.describe();
    EXPECT_TRUE(hears_of(etcd, node, 13)) << node.describe();
}

TEST_F(Rotation, ACertificateThatEtcdRefusesCostsNoConnection) {
    ASSERT_TRUE(openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=nobody "
                        "-keyout nobody.key -out nobody.pem"));
    version("three", "nobody");
    ASSERT_ETCD(etcd, server(true));
    ASSERT_TRUE(etcd.put(kConfigKey, kConfigWithRoom));
    Node node(options(etcd), "192.0.2.1", attentive());
    node.join();
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    const auto before = connections_to(etcd.port());
    ASSERT_FALSE(before.empty());
    turn_to("three");
    ASSERT_TRUE(node.wait_for("what was read of the certificate files before stays in use")) << node.describe();
    EXPECT_TRUE(hears_of(etcd, node, 11)) << node.describe();
    EXPECT_TRUE(std::ranges::includes(connections_to(etcd.port()), before)) << "the connections are the old ones";
    turn_to("two");
    ASSERT_TRUE(node.wait_for("certificate files have changed")) << node.describe();
    EXPECT_TRUE(hears_of(etcd, node, 12)) << node.describe();
}

TEST_F(Rotation, AnExpiredCertificateIsNamedWithItsDate) {
    ASSERT_TRUE(openssl("x509 -req -days -1 -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out client.pem"));
    version("past", "client");
    turn_to("past");
    ASSERT_ETCD(etcd, [&] {
        auto all = server(true);
        all.ctl_args[1] = "--cert=" + file("client2.pem");
        all.ctl_args[2] = "--key=" + file("client2.key");
        return all;
    }());
    const auto got = etcd::Client::create(options(etcd))->get({}, "/k");
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().sentence(),
                AllOf(HasSubstr(etcd.endpoint()), HasSubstr((mounted() / "client.pem").string() + " has expired on 20"),
                      HasSubstr(" UTC")));
}

TEST_F(Rotation, FilesAreCheckedWhenTheyAreRead) {
    weft::EtcdOptions all;
    all.cafile = file("ca.key");
    EXPECT_THAT(etcd::read_tls_files(all).error().sentence(), HasSubstr("ca.key: no certificate"));
    all.cafile = file("ca.pem");
    all.certfile = file("client.pem");
    all.keyfile = file("client2.key");
    EXPECT_THAT(etcd::read_tls_files(all).error().sentence(),
                HasSubstr("client2.key: is not the key of the certificate in"));
    ASSERT_TRUE(openssl("ec -aes256 -passout pass:x -in client.key -out locked.key"));
    all.keyfile = file("locked.key");
    EXPECT_THAT(etcd::read_tls_files(all).error().sentence(), HasSubstr("without a passphrase"));
    all.keyfile = file("client.key");
    EXPECT_TRUE(etcd::read_tls_files(all));
    const auto validity = etcd::read_validity(file("client.pem"));
    ASSERT_TRUE(validity);
    EXPECT_NEAR(std::chrono::duration<double>(validity->until - std::chrono::system_clock::now()).count(), 2 * 86400,
                600);
    EXPECT_EQ(etcd::why_invalid(*validity, std::chrono::system_clock::now()), "");
}

} // namespace
} // namespace weft::test
