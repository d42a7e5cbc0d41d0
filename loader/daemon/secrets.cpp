// SPDX-License-Identifier: Apache-2.0
#include "daemon/secrets.hpp"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace weft {
namespace {

/// A whole value, be it a word of its own or what follows the sign of equality. A short secret may be a part of anything.
bool blot(char *word, std::string_view secret) {
    const std::string_view text(word);
    if (!text.ends_with(secret)) return false;
    const auto begin = text.size() - secret.size();
    if (begin != 0 && text[begin - 1] != '=') return false;
    std::memset(word + begin, 'x', secret.size());
    return true;
}

} // namespace

void hide_secret(char **argv, std::string_view secret) {
    if (secret.empty()) return;
    for (char **word = argv; *word; ++word) blot(*word, secret);
    std::vector<std::string> held_it;
    for (char **variable = environ; *variable; ++variable)
        if (blot(*variable, secret)) held_it.emplace_back(*variable, std::strcspn(*variable, "="));
    for (const auto &name : held_it) ::unsetenv(name.c_str()); // NOLINT(concurrency-mt-unsafe): see Threads
}

} // namespace weft
