// SPDX-License-Identifier: Apache-2.0
#include "lease/lease_view.hpp"

#include <gmock/gmock.h>

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char *kPrefix = "/net/subnets/";

std::string value(std::string_view ip) { return R"({"PublicIP":")" + std::string(ip) + R"(","BackendType":"vxlan"})"; }

etcd::KeyValue entry(std::string_view name, std::string text, std::int64_t revision = 1) {
    return {.key = kPrefix + std::string(name), .value = std::move(text), .mod_revision = revision};
}
etcd::Event put(std::string_view name, std::string text, std::int64_t revision) {
    return {.deleted = false, .entry = entry(name, std::move(text), revision)};
}
etcd::Event del(std::string_view name, std::int64_t revision) {
    return {.deleted = true, .entry = entry(name, "", revision)};
}

/// "put 10.5.1.0/24 192.0.2.1", "removed 10.5.1.0/24" or "".
std::string text(const LeaseView::Change &change) {
    if (const auto *lease = std::get_if<LeasePtr>(&change))
        return "put " + (*lease)->subnet.to_string() + " " + (*lease)->attrs.public_ip.to_string();
    if (const auto *subnet = std::get_if<Subnet>(&change)) return "removed " + subnet->to_string();
    return "";
}

class LeaseViewTest : public ::testing::Test {
protected:
    std::vector<std::string> reset(const std::vector<etcd::KeyValue> &entries) {
        std::vector<std::string> subnets;
        for (const auto &lease : view_.reset(entries)) subnets.push_back(lease->subnet.to_string());
        return subnets;
    }
    std::vector<std::string> reports_;
    LeaseView view_{kPrefix, LeaseAttrs{.public_ip = *parse_ip4("192.0.2.1")},
                    [this](std::string what) { reports_.push_back(std::move(what)); }};
};

TEST_F(LeaseViewTest, OwnLeasesAreNotPartOfIt) {
    EXPECT_THAT(reset({entry("10.5.1.0-24", value("192.0.2.1")), entry("10.5.2.0-24", value("192.0.2.2"))}),
                ElementsAre("10.5.2.0/24"));
    EXPECT_EQ(text(view_.apply(put("10.5.1.0-24", value("192.0.2.1"), 2))), "");
    EXPECT_EQ(text(view_.apply(del("10.5.1.0-24", 3))), "");
}

TEST_F(LeaseViewTest, TellsWhatIsNewChangedAndRemovedButNotRenewals) {
    reset({entry("10.5.2.0-24", value("192.0.2.2"))});
    EXPECT_EQ(text(view_.apply(put("10.5.2.0-24", value("192.0.2.2"), 2))), "");
    EXPECT_EQ(text(view_.apply(put("10.5.2.0-24", value("192.0.2.9"), 3))), "put 10.5.2.0/24 192.0.2.9");
    EXPECT_EQ(text(view_.apply(put("10.5.3.0-24", value("192.0.2.3"), 4))), "put 10.5.3.0/24 192.0.2.3");
    EXPECT_EQ(text(view_.apply(del("10.5.2.0-24", 5))), "removed 10.5.2.0/24");
    EXPECT_EQ(text(view_.apply(del("10.5.2.0-24", 6))), "");
}

TEST_F(LeaseViewTest, KeyThatChangesHands) {
    reset({entry("10.5.2.0-24", value("192.0.2.2"))});
    EXPECT_EQ(text(view_.apply(put("10.5.2.0-24", value("192.0.2.1"), 2))), "removed 10.5.2.0/24") << "ours now";
    EXPECT_EQ(text(view_.apply(put("10.5.2.0-24", value("192.0.2.2"), 3))), "put 10.5.2.0/24 192.0.2.2");
}

TEST_F(LeaseViewTest, MalformedEntriesAreReportedOnceAndTouchNobody) {
    EXPECT_THAT(reset({entry("10.5.2.0-24", value("192.0.2.2")), entry("junk", "x"), entry("10.5.3.0-24", "{}x")}),
                ElementsAre("10.5.2.0/24"));
    EXPECT_THAT(reports_, ElementsAre(HasSubstr("/net/subnets/junk"), HasSubstr("/net/subnets/10.5.3.0-24")));
    reset({entry("10.5.2.0-24", value("192.0.2.2")), entry("junk", "x"), entry("10.5.3.0-24", "{}x")});
    EXPECT_EQ(reports_.size(), 2u) << "again only when written again";
    EXPECT_EQ(text(view_.apply(put("junk", "y", 9))), "");
    EXPECT_EQ(reports_.size(), 3u);
    EXPECT_EQ(text(view_.apply(del("junk", 10))), "");
    EXPECT_EQ(text(view_.apply(put("10.5.3.0-24", value("192.0.2.3"), 11))), "put 10.5.3.0/24 192.0.2.3");
}

TEST_F(LeaseViewTest, LeaseOverwrittenWithNonsenseStaysAsLastSeen) {
    reset({entry("10.5.2.0-24", value("192.0.2.2"))});
    EXPECT_EQ(text(view_.apply(put("10.5.2.0-24", R"({"PublicIP":""})", 2))), "");
    EXPECT_THAT(reports_, ElementsAre(HasSubstr("PublicIP: \"\"")));
    EXPECT_THAT(reset({entry("10.5.2.0-24", R"({"PublicIP":""})", 2)}), ElementsAre("10.5.2.0/24"));
    EXPECT_EQ(text(view_.apply(del("10.5.2.0-24", 3))), "removed 10.5.2.0/24");
    EXPECT_THAT(reset({}), IsEmpty());
}

} // namespace
} // namespace weft
