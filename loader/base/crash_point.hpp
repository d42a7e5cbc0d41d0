// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace weft {

/// A moment of weftd's work at which something half done exists outside of it: in etcd, in the kernel, on the disk. The
/// shipped programs take crash_point.cpp from this library, where it is nothing; only `weftd-testhooks`, which is not
/// installed, brings its own, which dies there as if by kill -9 when it is told to (tests/daemon/crash_hooks.cpp). The list is
/// in tests/daemon/README.md.
void crash_point(std::string_view name);

} // namespace weft
