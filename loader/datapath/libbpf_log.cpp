// SPDX-License-Identifier: Apache-2.0
#include "datapath/libbpf_log.hpp"

#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>
#include <xdp/libxdp.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace weft::datapath {
namespace {

[[gnu::format(printf, 3, 0)]] int log_message(const char *library, bool warning, const char *format, va_list args) {
    const auto level = warning ? spdlog::level::debug : spdlog::level::trace;
    if (!spdlog::should_log(level)) return 0;
    std::array<char, 4096> text{}; // a verifier log is longer and is cut: its end is on the last lines, logged apart
    const int len = std::vsnprintf(text.data(), text.size(), format, args);
    std::string_view line(text.data());
    while (line.ends_with('\n')) line.remove_suffix(1);
    if (!line.empty()) spdlog::log(level, "{}: {}", library, line);
    return len;
}

[[gnu::format(printf, 2, 0)]] int on_libbpf(libbpf_print_level level, const char *format, va_list args) {
    return log_message("libbpf", level == LIBBPF_WARN, format, args);
}

[[gnu::format(printf, 2, 0)]] int on_libxdp(libxdp_print_level level, const char *format, va_list args) {
    return log_message("libxdp", level == LIBXDP_WARN, format, args);
}

} // namespace

void route_libbpf_log() {
    libbpf_set_print(on_libbpf);
    libxdp_set_print(on_libxdp);
}

} // namespace weft::datapath
