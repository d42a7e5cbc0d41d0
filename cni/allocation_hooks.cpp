// SPDX-License-Identifier: Apache-2.0
// weft-testhooks' memory: WEFT_TEST_FAIL_ALLOCATION=<n> lets the n-th allocation fail, whichever library makes it, and says so;
// 0 says on stderr at the end how many there were. Linked with --wrap for each function here.
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace {

std::atomic<unsigned long> allocations;
std::atomic<bool> in_main; ///< what the C library needs before is not the plugin's

unsigned long wanted() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read before any thread starts, written never.
    static const char *const kText = std::getenv("WEFT_TEST_FAIL_ALLOCATION");
    static const unsigned long kNumber = kText ? std::strtoul(kText, nullptr, 10) : 0;
    return kNumber;
}

bool fails() {
    const bool now = in_main && ++allocations == wanted();
    if (now) {
        ::dprintf(STDERR_FILENO, "allocation %lu fails\n", wanted());
        errno = ENOMEM;
    }
    return now;
}

} // namespace

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): ld's names for --wrap
extern "C" {

void *__real_malloc(std::size_t size);
void *__real_calloc(std::size_t count, std::size_t size);
void *__real_realloc(void *old, std::size_t size);

void *__wrap_malloc(std::size_t size) { return fails() ? nullptr : __real_malloc(size); }
void *__wrap_calloc(std::size_t count, std::size_t size) { return fails() ? nullptr : __real_calloc(count, size); }
void *__wrap_realloc(void *old, std::size_t size) { return fails() ? nullptr : __real_realloc(old, size); }

[[gnu::constructor]] void begin() { in_main = true; }

[[gnu::destructor]] void say_how_many() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread left.
    if (wanted() != 0 || !std::getenv("WEFT_TEST_FAIL_ALLOCATION")) return;
    ::dprintf(STDERR_FILENO, "allocations: %lu\n", allocations.load());
}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
