// SPDX-License-Identifier: Apache-2.0
// subnet.env, which may be flannel's, an earlier run's or half of one.
#include "config/subnet_env.hpp"
#include "fuzz.hpp"

void weft::fuzz::one(std::string_view input) {
    const auto env = parse_subnet_env(input);
    if (!env) return expect(!env.error().sentence().empty(), "a refusal says why");
    expect(env->networks().size() == env->subnets().size() && !env->subnets().empty(), "of a family both or none");
    const auto written = format(*env);
    const auto again = parse_subnet_env(written);
    expect(again.has_value(), "what is written can be read", written);
    expect(*again == *env, "what is written reads the same", written);
}
