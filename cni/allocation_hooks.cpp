// SPDX-License-Identifier: Apache-2.0
// weft-testhooks' memory: WEFT_TEST_FAIL_ALLOCATION=<n> lets the n-th allocation fail, whichever library makes it; 0 says on
// stderr at the end how many there were. Linked with --wrap for each function here.
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
    static const char *const text = std::getenv("WEFT_TEST_FAIL_ALLOCATION");
    static const unsigned long number = text ? std::strtoul(text, nullptr, 10) : 0;
    return number;
}

bool fails() {
    const bool now = in_main && ++allocations == wanted();
    if (now) errno = ENOMEM;
    return now;
}

} // namespace

extern "C" {

void *__real_malloc(std::size_t size);
void *__real_calloc(std::size_t count, std::size_t size);
void *__real_realloc(void *old, std::size_t size);

void *__wrap_malloc(std::size_t size) { return fails() ? nullptr : __real_malloc(size); }
void *__wrap_calloc(std::size_t count, std::size_t size) { return fails() ? nullptr : __real_calloc(count, size); }
void *__wrap_realloc(void *old, std::size_t size) { return fails() ? nullptr : __real_realloc(old, size); }

[[gnu::constructor]] void begin() { in_main = true; }

[[gnu::destructor]] void say_how_many() {
    if (wanted() != 0 || !std::getenv("WEFT_TEST_FAIL_ALLOCATION")) return;
    ::dprintf(STDERR_FILENO, "allocations: %lu\n", allocations.load());
}
}
