// SPDX-License-Identifier: Apache-2.0
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/capabilities.hpp"
#include "daemon/daemon.hpp"
#include "daemon/flags.hpp"
#include "daemon/kernel.hpp"
#include "daemon/log.hpp"
#include "daemon/memory.hpp"
#include "daemon/secrets.hpp"
#include "daemon/uplink.hpp"

namespace {

using namespace weft;

int refuse(const Error &error) {
    std::fprintf(stderr, "weftd: %s\n", error.sentence().c_str());
    return EXIT_FAILURE;
}

void say(std::string_view text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

/// Ends weftd where memory is out, whichever thread asks for it. An exception would not be sure to arrive: destructors and
/// libraries need memory on its way. Pods go on, by what is pinned, and the next weftd finds it.
[[noreturn]] void end_without_memory() {
    say("weftd: out of memory\n");
    ::_exit(EXIT_FAILURE);
}

/// gRPC ends the process without a word where it has no memory.
void say_aborted(int) { say("weftd: aborted by a library: out of memory, or a mistake that it found\n"); }

std::optional<std::string> from_environment(const std::string &name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read before any thread starts, written never.
    const char *value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
}

/// Which families there are is known once the configuration is read: until then the uplink of either will do.
Result<Uplink> first_uplink(const UplinkFlags &flags, Kernel &kernel) {
    auto network = kernel.read_network();
    if (!network) return fail_as_is(std::move(network));
    const RouteQuery route_to = [&](const Ip &to) { return kernel.route_to(to); };
    auto uplink = select_uplink(flags, *network, route_to, {.v4 = true, .v6 = false});
    if (uplink) return uplink;
    auto in_ip6 = select_uplink(flags, *network, route_to, {.v4 = false, .v6 = true});
    return in_ip6 ? std::move(in_ip6) : std::move(uplink);
}

/// Asio does not look whether the kernel took the descriptor that its timers come by (epoll_ctl: out of memory): weftd would
/// wait for ever, and nobody would know for what.
bool timers_work(asio::io_context &io) {
    using namespace std::chrono_literals;
    bool fired = false;
    asio::steady_timer timer(io, 1ms);
    timer.async_wait([&](const asio::error_code &) { fired = true; });
    io.run_for(2s);
    io.restart();
    return fired;
}

int run(const Options &options, const std::vector<std::string> &warnings) {
    set_up_logging(options.log_level);
    const auto log = make_logger("flags");
    for (const auto &warning : warnings) log->warn("{}", warning);

    // The first thing: a capability is given up by a thread for itself and those that it will make.
    if (auto dropped = drop_capabilities(options.healthz_port > 0 && options.healthz_port < 1024); !dropped)
        return refuse(dropped.error());
    auto kernel = open_kernel(options.run_dir);
    if (!kernel) return refuse(kernel.error());
    auto uplink = first_uplink(options.uplink, **kernel);
    if (!uplink) return refuse(uplink.error());

    asio::io_context io(1);
    if (!timers_work(io)) return refuse(Error(ENOMEM, "the kernel refused to watch the event loop's timers"));
    Daemon daemon(io, options, *uplink, **kernel);
    if (auto started = daemon.start(); !started) return refuse(started.error());
    io.run();
    return daemon.exit_code();
}

} // namespace

int main(int argc, char **argv) try {
    std::set_new_handler(end_without_memory);
    std::signal(SIGABRT, say_aborted);
    const std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
    auto parsed = parse_flags(args, from_environment);
    if (!parsed) return refuse(parsed.error());
    if (const auto *text = std::get_if<PrintAndExit>(&*parsed)) {
        std::fputs(text->text.c_str(), stdout);
        return EXIT_SUCCESS;
    }
    const auto &flags = std::get<ParsedFlags>(*parsed);
    hide_secret(argv, flags.options.etcd.password);
    keep_memory_small();
    return run(flags.options, flags.warnings);
} catch (const std::exception &error) {
    std::fprintf(stderr, "weftd: %s\n", error.what());
    return EXIT_FAILURE;
}
