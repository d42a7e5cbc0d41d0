// SPDX-License-Identifier: Apache-2.0
// weftd-testhooks' memory, with the hooks of the plugin's (cni/allocation_hooks.cpp). weftd is no static program: these
// functions stand in for the C library's in all of its libraries, gRPC's threads included.
#include <cstddef>

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the C library's names, and ld's for --wrap
extern "C" {

void *__libc_malloc(std::size_t size);
void *__libc_calloc(std::size_t count, std::size_t size);
void *__libc_realloc(void *old, std::size_t size);
void *__wrap_malloc(std::size_t size);
void *__wrap_calloc(std::size_t count, std::size_t size);
void *__wrap_realloc(void *old, std::size_t size);

void *__real_malloc(std::size_t size) { return __libc_malloc(size); }
void *__real_calloc(std::size_t count, std::size_t size) { return __libc_calloc(count, size); }
void *__real_realloc(void *old, std::size_t size) { return __libc_realloc(old, size); }

void *malloc(std::size_t size) { return __wrap_malloc(size); }
void *calloc(std::size_t count, std::size_t size) { return __wrap_calloc(count, size); }
void *realloc(void *old, std::size_t size) { return __wrap_realloc(old, size); }
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
