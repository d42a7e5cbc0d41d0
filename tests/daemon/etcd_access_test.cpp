// SPDX-License-Identifier: Apache-2.0
// What weftd needs to be allowed at etcd, and who gets to see the password.
#include <sys/stat.h>

#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char *kSecret = "s3kr1t-of-weft", *kOther = "0ther-s3kr1t";

class EtcdAccess : public DaemonTest {
protected:
    void SetUp() override {
        DaemonTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(dir_, TempDir::create("access"));
        // As docs/etcd-access.md has it.
        const std::vector<std::string> commands{
            "user add root:r00t",
            std::string("user add weft:") + kSecret,
            "role add weft",
            "role grant-permission --prefix=true weft readwrite /coreos.com/network/",
            "user grant-role weft weft",
            "user grant-role root root",
            "auth enable"};
        for (const auto &command : commands) WEFT_ASSERT_OK(etcdctl(command));
    }
    Result<std::string> etcdctl(const std::string &command, const std::string &user = "") {
        std::vector<std::string> argv = words("etcdctl --endpoints=" + cluster_->etcd().endpoint() + " " + command);
        if (!user.empty()) argv.push_back("--user=" + user);
        return run_ok(std::move(argv), {.netns = cluster_->world().path(), .env = {"ETCDCTL_API=3"}});
    }
    [[nodiscard]] std::string password_file(const std::string &text, mode_t mode = 0600) const {
        const auto path = *dir_ / "password";
        EXPECT_TRUE(write_file(path, text + "\n"));
        ::chmod(path.c_str(), mode);
        return path;
    }
    [[nodiscard]] std::string of_process(const char *name) const {
        return read_file(fmt::format("/proc/{}/{}", node_->daemon()->pid(), name)).value_or("");
    }
    void expect_nobody_says(const std::string &secret) const {
        EXPECT_THAT(log(), Not(HasSubstr(secret)));
        for (const char *name : {"cmdline", "environ"}) EXPECT_THAT(of_process(name), Not(HasSubstr(secret))) << name;
        for (const char *command : {"status --json", "status", "doctor", "doctor --json"}) {
            auto argv = words(binary("weftctl") + " " + command);
            argv.insert(argv.end(),
                        {"--run-dir=" + node_->run_dir().string(), "--bpf-dir=" + node_->bpf_dir().string()});
            const auto said = node_->netns().output(argv, {}, 20s);
            WEFT_ASSERT_OK(said);
            EXPECT_THAT(said->out + said->err, Not(HasSubstr(secret))) << command;
        }
    }

    std::optional<TempDir> dir_;
};

TEST_F(EtcdAccess, ARoleForThePrefixIsEnough) {
    start({"--etcd-username=weft", "--etcd-password-file=" + password_file(kSecret)});
    EXPECT_EQ(status()["state"], "synced");
    EXPECT_EQ(status()["etcd"]["files"]["password"], (*dir_ / "password").string());
    WEFT_EXPECT_OK(etcdctl(
        "put /coreos.com/network/subnets/10.244.77.0-24 "
        R"({"PublicIP":"192.0.2.77","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:07"}})",
        "root:r00t"));
    WEFT_EXPECT_OK(node_->wait_for_leases(1));
    EXPECT_FALSE(etcdctl("put /coreos.com/networkX 1", std::string("weft:") + kSecret)) << "no more than that";
    EXPECT_FALSE(etcdctl("get /registry --prefix", std::string("weft:") + kSecret));
    expect_nobody_says(kSecret);

    // etcd forgets its tokens: by then the password is another one, and the file has it.
    WEFT_ASSERT_OK(etcdctl(std::string("user delete weft"), "root:r00t"));
    WEFT_ASSERT_OK(etcdctl(std::string("user add weft:") + kOther, "root:r00t"));
    WEFT_ASSERT_OK(etcdctl("user grant-role weft weft", "root:r00t"));
    (void)password_file(kOther);
    WEFT_ASSERT_OK(cluster_->etcd().restart());
    WEFT_EXPECT_OK(etcdctl(
        "put /coreos.com/network/subnets/10.244.78.0-24 "
        R"({"PublicIP":"192.0.2.78","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:08"}})",
        "root:r00t"));
    WEFT_EXPECT_OK(node_->wait_for_leases(2, 20s));
    expect_nobody_says(kOther);
}

TEST_F(EtcdAccess, ThePasswordIsSeenNowhereHoweverItIsGiven) {
    const auto config = *dir_ / "config";
    WEFT_ASSERT_OK(write_file(config, fmt::format("etcd-username = weft\netcd-password = {}\n", kSecret)));
    ::chmod(config.c_str(), 0600);
    const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> ways{
        {{"--etcd-username=weft", fmt::format("--etcd-password={}", kSecret)}, {}},
        {{"-etcd-username=weft", "-etcd-password", kSecret}, {}},
        {{}, {"WEFT_ETCD_USERNAME=weft", fmt::format("WEFT_ETCD_PASSWORD={}", kSecret)}},
        {{}, {"FLANNELD_ETCD_USERNAME=weft", fmt::format("FLANNELD_ETCD_PASSWORD={}", kSecret)}},
        {{"--config=" + config.string()}, {}},
    };
    for (const auto &[flags, env] : ways) {
        SCOPED_TRACE(testing::PrintToString(flags) + testing::PrintToString(env));
        auto all = options(flags);
        all.env = env;
        WEFT_ASSERT_OK(node_->start(all));
        EXPECT_EQ(status()["state"], "synced");
        expect_nobody_says(kSecret);
        WEFT_ASSERT_OK(node_->stop());
        EXPECT_THAT(log(), Not(HasSubstr(kSecret)));
    }
}

TEST_F(EtcdAccess, AWrongPasswordIsSaidAndNotShown) {
    for (const char *level : {"debug", "info", "warn", "error"}) {
        launch(
            {"--etcd-username=weft", fmt::format("--etcd-password={}", kOther), fmt::format("--log-level={}", level)});
        const bool tells = std::string_view(level) != "error"; // what mends itself is a warning
        EXPECT_TRUE(!tells || node_->daemon()->wait_for_output("authentication failed")) << log();
        EXPECT_TRUE(wait_until([&] { return status().is_object(); }, 10s)) << "past its flags";
        expect_nobody_says(kOther);
        node_->kill();
    }
}

} // namespace
} // namespace weft::test
