// SPDX-License-Identifier: Apache-2.0
// The value of a lease's key in etcd.
#include "fuzz.hpp"
#include "lease/lease.hpp"

void weft::fuzz::one(std::string_view input) {
    const auto attrs = parse_lease_value(input);
    if (!attrs) return expect(!attrs.error().sentence().empty(), "a refusal says why");
    const auto written = format_lease_value(*attrs);
    const auto again = parse_lease_value(written);
    expect(again.has_value(), "what is written can be read", written);
    expect(*again == *attrs, "what is written reads the same", written);
    expect(same_node(*attrs, *again) || attrs->node().empty() || attrs->public_ip.is_unspecified(),
           "a lease with an address is its own node's", written);
}
