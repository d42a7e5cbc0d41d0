// SPDX-License-Identifier: Apache-2.0
#include "daemon/memory.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace weft {
namespace {

/// Takes a library's code and constants out of this process: they stay in the page cache and come back, page by page, as they
/// are used. Relocating 80 libraries and setting them up touches 19 MB, of which weftd goes on to use a third.
int unmap_unused(dl_phdr_info *object, std::size_t, void *) {
    static const auto kPage = static_cast<ElfW(Addr)>(::sysconf(_SC_PAGESIZE));
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto &segment = object->dlpi_phdr[i];
        // What was ever writable (relocated constants too) has no other copy than this process's.
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const auto begin = (object->dlpi_addr + segment.p_vaddr) & ~(kPage - 1);
        const auto end = object->dlpi_addr + segment.p_vaddr + segment.p_filesz;
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the dynamic linker tells addresses as numbers.
        ::madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
    }
    return 0;
}

} // namespace

/// One arena for all threads: each of gRPC's would keep the most that its own ever held (8 MB of 54 with 10,000 leases). And
/// what a large list took goes back to the kernel, where glibc would learn to keep the next one.
void keep_memory_small() {
    constexpr int kLarge = 64 * 1024;
    // NOLINTBEGIN(concurrency-mt-unsafe): called before any thread starts.
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, kLarge);
    mallopt(M_TRIM_THRESHOLD, kLarge);
    // NOLINTEND(concurrency-mt-unsafe)
}

void let_go_of_memory() {
    malloc_trim(0); // between what is kept, too
    dl_iterate_phdr(unmap_unused, nullptr);
}

} // namespace weft
