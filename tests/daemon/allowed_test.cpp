// SPDX-License-Identifier: Apache-2.0
// Sources that pods were allowed beside their own (allowedAddresses, anySource): they can be used, outlive the map that they
// are kept in, and go with their pod.
#include "daemon_fixture.hpp"
#include "pinned.hpp"

namespace weft::test {
namespace {

class Allowed : public DaemonTest {
protected:
    void SetUp() override {
        DaemonTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        start();
        WEFT_ASSERT_ASSIGN(told_, add("told", {{"allowedAddresses", {"10.1.2.0/24", "192.0.2.200"}}}));
        WEFT_ASSERT_ASSIGN(any_, add("any", {{"anySource", true}}));
        WEFT_ASSERT_ASSIGN(plain_, add("plain", nlohmann::json::object()));
        before_ = listed();
        ASSERT_EQ(before_.size(), 3U);
    }
    /// A pod whose interface has further addresses, which the host would answer.
    Result<Netns> add(const std::string &id, const nlohmann::json &keys) {
        auto ns = Netns::create(id);
        if (!ns) return ns;
        if (auto out = cni("ADD", id, ns->path(), keys); !out) return fail_as_is(std::move(out));
        if (auto set = ns->ip("addr add 10.1.2.3/32 dev eth0\naddr add 10.9.9.9/32 dev eth0"); !set)
            return fail_as_is(std::move(set));
        return ns;
    }
    Result<std::string> cni(const std::string &command, const std::string &id, const std::string &netns,
                            const nlohmann::json &keys) {
        auto conf = nlohmann::json::parse(node_->cni_config());
        conf.update(keys);
        return node_->netns().run({binary("weft")},
                                  {.env = {"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + netns,
                                           "CNI_IFNAME=eth0", "CNI_PATH=/nowhere"},
                                   .input = conf.dump()});
    }
    /// Whether the node hears a pod that speaks as `source`: it does not answer, because it has no route to that.
    bool hears(const Netns &pod, const std::string &source) {
        const auto before = refused();
        (void)pod.output(words("ping -n -q -c 1 -W 0.2 -I " + source + " 192.0.2.1"));
        return refused() == before;
    }
    [[nodiscard]] std::uint64_t refused() const {
        const auto counters = node_->counters();
        return counters ? count(counters->all, "from_pod/pod_source") : 0;
    }
    /// The map's keys, as bytes.
    [[nodiscard]] std::set<std::string> listed() const {
        std::set<std::string> all;
        if (const auto map = maps::AllowedMap::open(node_->bpf_dir(), WEFT_PIN_ALLOWED))
            for (const auto &key : (*map)->keys()) all.emplace(reinterpret_cast<const char *>(&key), sizeof key);
        return all;
    }
    [[nodiscard]] std::size_t notes() const {
        std::size_t count = 0;
        for (const auto &file : std::filesystem::directory_iterator(node_->run_dir()))
            count += file.path().filename().string().starts_with("allowed.");
        return count;
    }
    void expect_as_told() {
        EXPECT_TRUE(hears(*told_, "10.1.2.3"));
        EXPECT_FALSE(hears(*told_, "10.9.9.9"));
        EXPECT_TRUE(hears(*any_, "10.9.9.9"));
        EXPECT_FALSE(hears(*plain_, "10.1.2.3"));
    }

    std::optional<Netns> told_, any_, plain_;
    std::set<std::string> before_;
};

TEST_F(Allowed, SourcesOutliveTheirMap) {
    expect_as_told();
    // As after an upgrade to another layout, or for an operator who tidies up: the next weftd makes a new map.
    WEFT_ASSERT_OK(node_->stop());
    std::filesystem::remove(node_->bpf_dir() / WEFT_PIN_ALLOWED);
    start();
    EXPECT_EQ(listed(), before_);
    expect_as_told();

    WEFT_ASSERT_ASSIGN(const auto map, maps::AllowedMap::open(node_->bpf_dir(), WEFT_PIN_ALLOWED));
    for (const auto &key : map->keys()) WEFT_ASSERT_OK(map->erase(key));
    EXPECT_TRUE(wait_until([&] { return listed() == before_; }, 3s)) << log();
    EXPECT_EQ(times(log(), "allowed source any of link"), 2U) << "once for each time\n" << log();
    EXPECT_EQ(times(log(), "allowed source 10.1.2.0/24 of link"), 2U) << log();
}

TEST_F(Allowed, SourcesGoWithTheirPod) {
    EXPECT_EQ(notes(), 2U);
    WEFT_ASSERT_OK(cni("DEL", "told", told_->path(), nlohmann::json::object()));
    EXPECT_EQ(listed().size(), 1U);
    EXPECT_EQ(notes(), 1U);
    any_.reset(); // without DEL
    EXPECT_TRUE(wait_until([&] { return listed().empty() && notes() == 0; }, 3s)) << log();
}

} // namespace
} // namespace weft::test
