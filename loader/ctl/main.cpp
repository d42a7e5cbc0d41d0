// SPDX-License-Identifier: Apache-2.0
// weftctl: shows what weft does on this node, writes what others need of it, and takes it off. Parses the command line and
// prints; each command has a file of its own.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "ctl/audit.hpp"
#include "ctl/cleanup.hpp"
#include "ctl/context.hpp"
#include "ctl/counters.hpp"
#include "ctl/docker_opts.hpp"
#include "ctl/doctor/doctor.hpp"
#include "ctl/endpoints.hpp"
#include "ctl/leases.hpp"
#include "ctl/pins.hpp"
#include "ctl/refused.hpp"
#include "ctl/status.hpp"

namespace weft::ctl {
namespace {

enum Exit { kOk = 0, kFailed = 1, kUsage = 2 };

struct Arguments {
    Context context;
    bool all = false;
    unsigned watch_seconds = 0;
    bool repair = false;
    CleanupOptions cleanup;
    DockerOptsRequest docker;
    std::filesystem::path subnet_file = "/run/flannel/subnet.env";
};

constexpr const char *kDockerOpts = "docker-opts";

/// Letters and meaning are those of flannel's mk-docker-opts.sh, for units that call it.
void define_docker_opts(CLI::App &command, DockerOptsRequest &request) {
    command.add_option("-f", request.subnet_file, "the node's subnet.env")->capture_default_str()->take_last();
    command.add_option("-d", request.output, "the file to write")->capture_default_str()->take_last();
    command.add_flag("-i", request.individual, "each option in a variable of its own, DOCKER_OPT_MTU=...");
    command.add_flag("-c", request.combined, "all options in one variable (neither -i nor -c: both)");
    command.add_flag("-m", request.without_ip_masq, "no --ip-masq");
    command.add_option("-k", request.combined_key, "name of that one variable")->capture_default_str()->take_last();
}

void add_common(CLI::App &command, Context &context) {
    command.add_option("--run-dir", context.run_dir, "weftd's run directory")->capture_default_str();
    command.add_option("--bpf-dir", context.bpf_dir, "where weft's maps are pinned")->capture_default_str();
    command.add_flag("--json", context.json, "print JSON instead of a table");
}

void define(CLI::App &app, Arguments &arguments) {
    app.set_version_flag("--version", "weftctl " WEFT_VERSION);
    app.require_subcommand(1);
    app.fallthrough(); // options may follow the command
    add_common(app, arguments.context);
    app.add_subcommand("status", "weftd's state and what the packet path holds; works with weftd down");
    app.add_subcommand("leases", "other nodes' subnets, how each is reached, and its traffic");
    app.add_subcommand("endpoints", "this node's pods");
    auto *counters = app.add_subcommand("counters", "packets by program, verdict and reason");
    counters->add_flag("--all", arguments.all, "also the reasons that never occurred");
    counters->add_option("--watch", arguments.watch_seconds, "rates instead of totals, every so many SECONDS")
        ->check(CLI::Range(1U, 86400U));
    app.add_subcommand("refused", "who sent what was dropped, or tolerated");
    auto *doctor = app.add_subcommand("doctor", "what is wrong on this node, and what helps");
    doctor
        ->add_option("--subnet-file", arguments.subnet_file, "the node's subnet.env, where weftd does not run to tell")
        ->capture_default_str();
    auto *audit = app.add_subcommand("audit", "has weftd compare the kernel with what should be there");
    audit->add_flag("--repair", arguments.repair, "also put right what differs");
    auto *cleanup = app.add_subcommand("cleanup", "takes weft off this node");
    cleanup->add_flag("--dry-run", arguments.cleanup.dry_run, "tell what would be removed, and remove nothing");
    auto *pods =
        cleanup->add_flag("--pods", arguments.cleanup.pods, "also the interfaces of running pods, which cuts them off");
    cleanup
        ->add_flag("--keep-pods", arguments.cleanup.keep_pods,
                   "running pods go on through the host's stack: for a flannel that is about to start")
        ->excludes(pods);
    cleanup->add_option("--subnet-file", arguments.cleanup.subnet_file, "weftd's subnet file")->capture_default_str();
    define_docker_opts(*app.add_subcommand(kDockerOpts, "dockerd's options for a bridge in this node's subnet"),
                       arguments.docker);
}

Result<std::string> docker_opts(const DockerOptsRequest &request) {
    auto remark = run_docker_opts(request);
    if (!remark) return remark;
    if (!remark->empty()) fmt::print(stderr, "weftctl: {}\n", *remark);
    return std::string();
}

struct Answer {
    std::string text; ///< for stdout
    Exit code = kOk;
};

Result<Answer> doctor(const Arguments &arguments) {
    auto report = run_doctor(arguments.context, arguments.subnet_file);
    if (!report) return fail_as_is(std::move(report));
    return Answer{std::move(report->text), report->healthy ? kOk : kFailed};
}

Result<std::string> run(const CLI::App &app, const Arguments &arguments) {
    if (app.got_subcommand(kDockerOpts)) return docker_opts(arguments.docker);
    if (app.got_subcommand("status")) return run_status(arguments.context);
    if (app.got_subcommand("leases")) return run_leases(arguments.context);
    if (app.got_subcommand("endpoints")) return run_endpoints(arguments.context);
    if (app.got_subcommand("refused")) return run_refused(arguments.context);
    if (app.got_subcommand("cleanup")) return run_cleanup(arguments.context, arguments.cleanup);
    if (arguments.watch_seconds == 0) return run_counters(arguments.context, arguments.all);
    auto watched = watch_counters(arguments.context, arguments.all, std::chrono::seconds(arguments.watch_seconds));
    if (!watched) return fail_as_is(std::move(watched));
    return std::string();
}

Result<Answer> audit(const Arguments &arguments) {
    auto report = run_audit(arguments.context, arguments.repair);
    if (!report) return fail_as_is(std::move(report));
    return Answer{std::move(report->text), report->clean ? kOk : kFailed};
}

Result<Answer> answer(const CLI::App &app, const Arguments &arguments) {
    // Said at once and alike: which of a command's sources refuses first is nothing that a user can act on.
    if (!app.got_subcommand(kDockerOpts) && ::geteuid() != 0) return std::unexpected(not_permitted());
    if (app.got_subcommand("audit")) return audit(arguments);
    if (app.got_subcommand("doctor")) return doctor(arguments);
    auto text = run(app, arguments);
    if (!text) return fail_as_is(std::move(text));
    return Answer{std::move(*text)};
}

int fail_with(Exit code, std::string_view sentence) {
    fmt::print(stderr, "weftctl: {}\n", sentence);
    return code;
}

/// CLI11 answers an unknown command with "A subcommand is required".
std::string explain(const CLI::App &app, const CLI::ParseError &error) {
    const auto rest = app.remaining();
    if (app.get_subcommands().empty() && !rest.empty())
        return fmt::format("\"{}\" is no command or option", rest.front());
    return error.what();
}

int main(int argc, char **argv) {
    CLI::App app{"Shows what weft, the pod network, does on this node.", "weftctl"};
    Arguments arguments;
    try {
        define(app, arguments);
        app.parse(argc, argv);
    } catch (const CLI::ParseError &e) {
        if (app.got_subcommand(kDockerOpts)) { // flannel's script: the usage, whatever is wrong or asked for
            fmt::print(stderr, "{}", app.get_subcommand(kDockerOpts)->help());
            return kFailed;
        }
        if (e.get_exit_code() == 0) return app.exit(e); // --help, --version
        return fail_with(kUsage, fmt::format("{} (weftctl --help tells more)", explain(app, e)));
    }
    const auto told = answer(app, arguments);
    if (!told) return fail_with(kFailed, told.error().sentence());
    const bool printed = std::fwrite(told->text.data(), 1, told->text.size(), stdout) == told->text.size();
    if (!printed || std::fflush(stdout) != 0) return fail_with(kFailed, "cannot write to standard output");
    return told->code;
}

} // namespace
} // namespace weft::ctl

int main(int argc, char **argv) {
    try {
        return weft::ctl::main(argc, argv);
    } catch (const std::exception &e) { // out of memory, or a library's surprise
        return weft::ctl::fail_with(weft::ctl::kFailed, e.what());
    }
}
