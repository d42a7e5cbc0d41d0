// SPDX-License-Identifier: Apache-2.0
// What an ADD that fails or dies half way leaves: nothing, at the latest after DEL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "cni_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

class CniFailure : public CniTest {
public:
    /// What is left in the pod's namespace.
    std::string pod_links() const { return pod_->run("ip -o link show").value(); }
};

/// Every step of ADD after which something half done exists, in order, for pods of each family.
class CniSteps : public CniFailure, public testing::WithParamInterface<std::tuple<Families, const char *>> {
public:
    Families families() const override { return std::get<0>(GetParam()); }
    static std::string step() { return std::get<1>(GetParam()); }
};

TEST_P(CniSteps, AFailureLeavesNothing) {
    const auto before = pod_links();
    const auto failed = node_->weft_failing_at({.netns = pod_->path(), .conf = node_->conf()}, step());
    EXPECT_FALSE(failed.ok());
    EXPECT_THAT(failed.msg(), HasSubstr(step())) << failed.text();
    EXPECT_EQ(failed.body.value("details", ""), "") << failed.text();
    EXPECT_EQ(node_->traces(), Traces{});
    EXPECT_EQ(pod_links(), before);
    const auto again = add("pod1");
    EXPECT_TRUE(again.ok()) << again.text();
}

TEST_P(CniSteps, DeathFollowedByDelLeavesNothing) {
    const auto before = pod_links();
    const auto died = node_->weft_failing_at({.netns = pod_->path(), .conf = node_->conf()}, step() + ":kill");
    EXPECT_EQ(died.exit_code, 128 + SIGKILL) << died.text();
    const auto deleted = call("DEL", "pod1", node_->conf());
    EXPECT_TRUE(deleted.ok()) << deleted.text();
    EXPECT_EQ(node_->traces(), Traces{});
    EXPECT_EQ(pod_links(), before);
    EXPECT_TRUE(add("pod1").ok());
}

TEST_P(CniSteps, DeathFollowedByTheNamespacesEndAndGcLeavesNothing) {
    const auto died = node_->weft_failing_at({.netns = pod_->path(), .conf = node_->conf()}, step() + ":kill");
    EXPECT_EQ(died.exit_code, 128 + SIGKILL) << died.text();
    json conf = node_->conf();
    conf["cni.dev/valid-attachments"] = json::array();
    const auto collected = call("GC", "", conf);
    EXPECT_TRUE(collected.ok()) << collected.text();
    EXPECT_EQ(node_->traces(), Traces{});
}
INSTANTIATE_TEST_SUITE_P(, CniSteps,
                         testing::Combine(testing::Values(Families::v4, Families::dual, Families::v6),
                                          testing::Values("ipam", "veth", "alias", "program", "host-up", "host-route",
                                                          "pod-address", "pod-up", "pod-route", "endpoint", "settle")),
                         [](const auto &sample) {
                             std::string name =
                                 std::string(to_string(std::get<0>(sample.param))) + "_" + std::get<1>(sample.param);
                             std::erase(name, '-');
                             return name;
                         });

TEST_F(CniFailure, ADelThatDiesIsFinishedByTheNext) {
    for (const char *step : {"del-endpoint", "del-veth"}) {
        ASSERT_TRUE(add("pod1").ok());
        const auto died =
            node_->weft_failing_at({.command = "DEL", .id = "pod1", .netns = pod_->path(), .conf = node_->conf()},
                                   step + std::string(":kill"));
        EXPECT_EQ(died.exit_code, 128 + SIGKILL) << died.text();
        const auto deleted = call("DEL", "pod1", node_->conf());
        EXPECT_TRUE(deleted.ok()) << deleted.text();
        EXPECT_TRUE(wait_until([&] { return node_->traces() == Traces{}; })) << step;
    }
}

TEST_F(CniFailure, ARuntimeThatHangsUpGetsNothingLeftBehind) {
    const auto line = "exec 1>&-; exec " + binary("weft");
    const auto failed = node_->run({.netns = pod_->path(), .conf = node_->conf()}, binary("weft"));
    ASSERT_TRUE(failed.ok());
    ASSERT_TRUE(call("DEL", "pod1", node_->conf()).ok());
    auto script = TempDir::create("cni-closed");
    ASSERT_OK(script);
    const auto path = *script / "weft-with-closed-stdout";
    ASSERT_OK(write_file(path, "#!/bin/sh\n" + line + "\n"));
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    const auto closed = node_->run({.netns = pod_->path(), .conf = node_->conf()}, path);
    EXPECT_FALSE(closed.ok());
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniFailure, AnExhaustedSubnetIsSaidAndLeavesNothing) {
    auto small = CniNode::create("cni-small", Families::v4, 29);
    ASSERT_OK(small);
    std::list<Netns> pods;
    for (int i = 0; i < 5; ++i) {
        auto pod = Netns::create("cni-pod" + std::to_string(i));
        ASSERT_OK(pod);
        pods.push_back(std::move(*pod));
        const auto added =
            small->weft({.id = "p" + std::to_string(i), .netns = pods.back().path(), .conf = small->conf()});
        ASSERT_TRUE(added.ok()) << added.text();
    }
    const auto full = small->traces();
    const auto refused = small->weft({.id = "onemore", .netns = pod_->path(), .conf = small->conf()});
    EXPECT_EQ(refused.code(), 101) << refused.text();
    EXPECT_EQ(refused.msg(),
              "failed to allocate for range 0: no IP addresses available in range set: 10.244.86.1-10.244.86.6");
    EXPECT_EQ(small->traces(), full);
    const auto status = small->weft({.command = "STATUS", .conf = small->conf()});
    EXPECT_EQ(status.code(), 50) << status.text();
    EXPECT_THAT(status.msg(), HasSubstr("no IP addresses available"));
    ASSERT_TRUE(small->weft({.command = "DEL", .id = "p3", .netns = "", .conf = small->conf()}).ok());
    EXPECT_TRUE(small->weft({.command = "STATUS", .conf = small->conf()}).ok());
    EXPECT_TRUE(small->weft({.id = "onemore", .netns = pod_->path(), .conf = small->conf()}).ok());
}

TEST_F(CniFailure, AFullDiskIsSaidAndLeavesNothing) {
    const auto dir = node_->data_dir();
    std::filesystem::create_directories(dir);
    ASSERT_EQ(::mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=64k"), 0);
    struct Unmount {
        std::filesystem::path dir;
        ~Unmount() { ::umount2(dir.c_str(), MNT_DETACH); }
    } const unmount{dir};
    const auto filler = dir / "filler";
    ASSERT_OK(write_file(filler, std::string(65536, 'x')));
    const auto refused = add("pod1");
    EXPECT_FALSE(refused.ok());
    EXPECT_THAT(refused.msg(), HasSubstr("No space left on device")) << refused.text();
    EXPECT_EQ(node_->traces(), Traces{});
    std::filesystem::remove(filler);
    const auto again = add("pod1");
    EXPECT_TRUE(again.ok()) << again.text();
}

TEST_F(CniFailure, AnAddressOfALivingPodIsNotTakenOver) {
    ASSERT_TRUE(add("pod1").ok());
    // The file is lost, so IPAM gives the address again.
    std::filesystem::remove_all(node_->data_dir());
    const auto before = node_->traces();
    auto other = Netns::create("cni-other");
    ASSERT_OK(other);
    const auto refused = node_->weft({.id = "pod2", .netns = other->path(), .conf = node_->conf()});
    EXPECT_EQ(refused.code(), 102) << refused.text();
    EXPECT_THAT(refused.msg(), HasSubstr("10.244.86.2 is already wired to"));
    EXPECT_EQ(node_->traces().endpoints, before.endpoints);
    EXPECT_EQ(node_->traces().routes, before.routes);
    EXPECT_EQ(node_->traces().veths, before.veths);
}

TEST_F(CniFailure, WithoutWeftdTheRuntimeIsToldToTryAgain) {
    std::filesystem::remove(node_->bpf_dir() / WEFT_PIN_FROM_POD);
    const auto no_program = add("pod1");
    EXPECT_EQ(no_program.code(), 11) << no_program.text();
    EXPECT_THAT(no_program.msg(), HasSubstr("weftd has not set up this node since boot"));
    EXPECT_EQ(call("STATUS", "", node_->conf()).code(), 51);
    std::filesystem::remove(node_->bpf_dir() / WEFT_PIN_ENDPOINTS);
    EXPECT_EQ(add("pod1").code(), 11);
    std::filesystem::remove(node_->subnet_file());
    const auto no_subnet = add("pod1");
    EXPECT_EQ(no_subnet.code(), 11) << no_subnet.text();
    EXPECT_THAT(no_subnet.msg(), HasSubstr(node_->subnet_file().string()));
    EXPECT_EQ(call("STATUS", "", node_->conf()).code(), 50);
    EXPECT_EQ(node_->traces(), Traces{});
}

} // namespace
} // namespace weft::test
