// SPDX-License-Identifier: Apache-2.0
#include "cni/ipam.hpp"

#include "cni/ipam_builtin.hpp"
#include "cni/ipam_delegate.hpp"

namespace weft::cni {

std::unique_ptr<Ipam> make_ipam(const Context &context) {
    if (context.conf.ipam.type.empty()) return std::make_unique<BuiltinIpam>(context);
    return std::make_unique<DelegatedIpam>(context);
}

} // namespace weft::cni
