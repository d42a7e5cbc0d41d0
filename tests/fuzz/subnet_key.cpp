// SPDX-License-Identifier: Apache-2.0
// The last component of a lease's key in etcd, where anybody with access may write.
#include "fuzz.hpp"
#include "lease/lease.hpp"

void weft::fuzz::one(std::string_view input) {
    const auto subnet = parse_subnet_key(input);
    if (!subnet) return expect(!subnet.error().sentence().empty(), "a refusal says why");
    expect(subnet->v4 || subnet->v6, "a subnet has a part");
    expect(format_subnet_key(*subnet) == input, "one spelling a subnet", format_subnet_key(*subnet));
    expect(parse_subnet_key(format_subnet_key(*subnet)) == *subnet, "what is written reads the same");
}
