// SPDX-License-Identifier: Apache-2.0
#include "base/error.hpp"

#include <system_error>

namespace weft {

std::unexpected<Error> fail_errno(int errnum, std::string_view what) {
    // std::generic_category().message() is thread-safe, strerror() is not.
    return std::unexpected(Error(errnum, std::string(what) + ": " + std::generic_category().message(errnum)));
}

} // namespace weft
