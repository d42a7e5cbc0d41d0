// SPDX-License-Identifier: Apache-2.0
#include "daemon/flags.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <string_view>

namespace weft {
namespace {

/// flannel's flags that weft takes so that a deployment's command line keeps working, and what becomes of them.
struct IgnoredFlag {
    const char *name;
    bool is_bool;
    const char *why;
};
constexpr IgnoredFlag kIgnoredFlags[] = {
    {"kube-api-url", false, "weft takes its leases from etcd"},
    {"kubeconfig-file", false, "weft takes its leases from etcd"},
    {"kube-annotation-prefix", false, "weft takes its leases from etcd"},
    {"net-config-path", false, "weft reads the network configuration from etcd"},
    {"set-node-network-unavailable", true, "weft does not talk to Kubernetes"},
    {"ip-blackhole-route", true, "weft always keeps an unreachable route for its own subnet"},
    {"v", false, "--log-level sets what is logged"},
    {"vmodule", false, "--log-level sets what is logged"},
    {"log_backtrace_at", false, "--log-level sets what is logged"},
};

constexpr const char *kFooter = "Every flag can be set in the environment as WEFT_<FLAG> or FLANNELD_<FLAG> "
                                "(upper case, \"-\" is \"_\"), and in the file that --config names.";

std::string in_quotes(std::string_view text) { return fmt::format("\"{}\"", text); }

template <class Int> Result<Int> parse_int(std::string_view text, Int min, Int max, std::string_view unit) {
    Int value{};
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (err != std::errc{} || end != text.data() + text.size() || value < min || value > max)
        return fail(fmt::format("{} is not a number of {} to {}{}", in_quotes(text), min, max, unit));
    return value;
}

Result<std::uint16_t> parse_port(std::string_view text) { return parse_int<std::uint16_t>(text, 0, 65535, ""); }

Result<std::chrono::minutes> parse_margin(std::string_view text) {
    // flannel's limits: a lease lives for 24 hours, and renewal needs at least a minute of it on each side.
    auto minutes = parse_int<unsigned>(text, 1, 1439, " minutes");
    if (!minutes) return fail_as_is(std::move(minutes));
    return std::chrono::minutes(*minutes);
}

Result<std::string> parse_regex(std::string_view text) {
    const RE2 regex(re2::StringPiece(text.data(), text.size()), RE2::Quiet);
    if (!regex.ok()) return fail(fmt::format("{} is not a regular expression: {}", in_quotes(text), regex.error()));
    return std::string(text);
}

Result<std::vector<std::string>> parse_endpoints(std::string_view text) {
    std::vector<std::string> endpoints;
    for (std::size_t at = 0; at <= text.size();) {
        const auto comma = std::min(text.find(',', at), text.size());
        const auto one = text.substr(at, comma - at);
        // Without a scheme the TLS flags decide, as with etcd's own clients.
        const auto scheme = one.find("://");
        const bool known =
            scheme == std::string_view::npos || one.starts_with("http://") || one.starts_with("https://");
        const auto host = scheme == std::string_view::npos ? one : one.substr(scheme + 3);
        if (!known || host.empty() || host.find_first_of(" \t\"") != std::string_view::npos)
            return fail(
                fmt::format("{} is not an endpoint (\"http://host:port\" or \"https://host:port\", several with "
                            "commas between)",
                            in_quotes(one)));
        endpoints.emplace_back(one);
        at = comma + 1;
    }
    return endpoints;
}

Result<std::string> parse_choice(std::string_view text, std::initializer_list<std::string_view> choices) {
    if (std::ranges::find(choices, text) != choices.end()) return std::string(text);
    return fail(fmt::format("{} is none of {}", in_quotes(text), fmt::join(choices, ", ")));
}

Result<std::string> parse_log_level(std::string_view text) {
    return parse_choice(text, {"debug", "info", "warn", "error"});
}

Result<DatapathMode> parse_datapath(std::string_view text) {
    if (text == "auto") return DatapathMode::automatic;
    if (text == "tc") return DatapathMode::tc;
    if (text == "xdp") return DatapathMode::xdp;
    return fail(fmt::format("{} is none of auto, tc, xdp", in_quotes(text)));
}

Result<std::set<weft_encap>> parse_backends(std::string_view text) {
    std::set<weft_encap> encaps;
    for (std::size_t at = 0; at <= text.size();) {
        const auto comma = std::min(text.find(',', at), text.size());
        const auto name = text.substr(at, comma - at);
        const auto encap = name.empty() ? std::nullopt : encap_of_backend(name);
        if (!encap) return fail(fmt::format("{} is none of {}", in_quotes(name), backend_names()));
        encaps.insert(*encap);
        at = comma + 1;
    }
    return encaps;
}

Result<FirewallChoice> parse_firewall(std::string_view text) {
    if (text == "auto") return FirewallChoice::automatic;
    if (text == "nftables") return FirewallChoice::nftables;
    if (text == "iptables") return FirewallChoice::iptables;
    return fail(fmt::format("{} is none of auto, nftables, iptables", in_quotes(text)));
}

Result<std::chrono::seconds> parse_resync(std::string_view text) {
    auto seconds = parse_int<unsigned>(text, 1, 86400, " seconds");
    if (!seconds) return fail_as_is(std::move(seconds));
    return std::chrono::seconds(*seconds);
}

/// "a=count,b=off", as the environment has several.
Result<CheckModes> parse_checks(std::string_view text, CheckModes modes = {}) {
    for (std::size_t at = 0; at <= text.size();) {
        const auto comma = std::min(text.find(',', at), text.size());
        if (auto done = set_check(modes, text.substr(at, comma - at)); !done) return fail_as_is(std::move(done));
        at = comma + 1;
    }
    return modes;
}

/// The command line as CLI11 sees it, and where each value really came from.
///
/// Own work beyond CLI11: Go's single dash, `--name=` meaning "empty" and not "take the next word", and an environment
/// that outranks the configuration file.
class CommandLine {
public:
    CommandLine() {
        app_.set_help_flag("--help,--h", "print this and exit");
        app_.set_config("--config", "", "read flags from this file, one \"name = value\" a line");
        app_.allow_config_extras(CLI::config_extras_mode::error);
        app_.footer(kFooter);
        app_.name("weftd");
        app_.description("weft's node daemon: takes a subnet lease and carries pods' packets between nodes with eBPF");
    }

    /// A flag with a value; `read` gives a Result of what `target` can be assigned. Empty keeps the default.
    template <class Parse, class Target>
    void value(const std::string &name, Target &target, Parse read, const std::string &help) {
        auto *option = app_.add_option_function<std::string>(
            "--" + name,
            [&target, read](const std::string &text) {
                if (!text.empty()) target = *read(text);
            },
            help);
        option->take_last()->check(verdict_of(read))->type_name("");
        names_.insert(name);
    }
    void text(const std::string &name, std::string &target, const std::string &help) {
        value(name, target, [](const std::string &text) -> Result<std::string> { return text; }, help);
    }
    void path(const std::string &name, std::filesystem::path &target, const std::string &help) {
        value(name, target, [](const std::string &text) -> Result<std::filesystem::path> { return text; }, help);
    }
    template <class Parse>
    void list(const std::string &name, std::vector<std::string> &target, Parse read, const std::string &help) {
        app_.add_option("--" + name, target, help)
            ->check(verdict_of(read))
            ->type_size(1)
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
            ->type_name("");
        names_.insert(name);
    }
    void boolean(const std::string &name, bool &target, const std::string &help) {
        app_.add_flag("--" + name, target, help)->take_last();
        names_.insert(name);
    }
    [[nodiscard]] bool given(const std::string &name) const { return app_.get_option("--" + name)->count() > 0; }
    [[nodiscard]] bool was_typed(const std::string &name) const { return seen_.contains(name); }
    [[nodiscard]] bool came_from_environment(const std::string &name) const { return from_env_.contains("--" + name); }
    [[nodiscard]] std::string config_file() const {
        const auto *option = app_.get_config_ptr();
        return option->count() > 0 ? option->as<std::string>() : std::string();
    }
    [[nodiscard]] std::string help() const { return app_.help(); }

    Status parse(std::span<const std::string> args, const EnvLookup &env) {
        auto words = with_two_dashes(args);
        if (!words) return fail_as_is(std::move(words));
        add_environment(*words, env);
        std::ranges::reverse(*words); // CLI11 takes its vector from the back
        try {
            app_.parse(std::move(*words));
        } catch (const CLI::CallForHelp &) {
            wants_help_ = true;
        } catch (const CLI::ParseError &error) {
            return fail(explain(error));
        }
        return {};
    }
    [[nodiscard]] bool wants_help() const { return wants_help_; }

private:
    template <class Parse> static CLI::Validator verdict_of(Parse read) {
        return CLI::Validator(
            [read](std::string &text) {
                if (text.empty()) return std::string();
                auto parsed = read(text);
                return parsed ? std::string() : parsed.error().sentence();
            },
            "");
    }

    Result<std::vector<std::string>> with_two_dashes(std::span<const std::string> args) {
        std::vector<std::string> words;
        for (std::size_t i = 0; i < args.size(); ++i) {
            const std::string &arg = args[i];
            const auto dashes = arg.starts_with("--") ? 2U : arg.starts_with("-") ? 1U : 0U;
            const auto equals = arg.find('=');
            const auto name = "--" + arg.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
            if (dashes == 0 || name == "--") return fail(fmt::format("{} found, a flag expected", in_quotes(arg)));
            const CLI::Option *option = app_.get_option_no_throw(name);
            if (!option) return fail(fmt::format("{} is not a flag of weftd (--help lists them)", in_quotes(name)));
            seen_.insert(name.substr(2));
            if (option->get_items_expected_max() == 0) { // a boolean
                words.push_back(equals == std::string::npos ? name : name + arg.substr(equals));
                continue;
            }
            words.push_back(name);
            if (equals != std::string::npos)
                words.push_back(arg.substr(equals + 1));
            else if (i + 1 < args.size())
                words.push_back(args[++i]);
        }
        return words;
    }

    void add_environment(std::vector<std::string> &words, const EnvLookup &env) {
        for (const auto &name : names_) {
            if (seen_.contains(name)) continue;
            std::string suffix = name;
            std::ranges::transform(suffix, suffix.begin(), [](char c) { return c == '-' ? '_' : std::toupper(c); });
            for (const auto *prefix : {"WEFT_", "FLANNELD_"}) {
                const auto value = env(prefix + suffix);
                if (!value || value->empty()) continue;
                from_env_["--" + name] = prefix + suffix;
                if (app_.get_option("--" + name)->get_items_expected_max() == 0)
                    words.push_back("--" + name + "=" + *value);
                else
                    words.insert(words.end(), {"--" + name, *value});
                break;
            }
        }
    }

    /// CLI11's text in one line, with the variable behind a flag that nobody typed.
    [[nodiscard]] std::string explain(const CLI::ParseError &error) const {
        std::string text = error.what();
        std::ranges::replace(text, '\n', ' ');
        while (text.ends_with(' ')) text.pop_back();
        for (const auto &[flag, variable] : from_env_)
            if (text.find(flag + ":") != std::string::npos || text.ends_with(flag))
                return fmt::format("{} (from {})", text, variable);
        return text;
    }

    CLI::App app_;
    std::set<std::string> names_, seen_;
    std::map<std::string, std::string> from_env_;
    bool wants_help_ = false;
};

void declare_etcd(CommandLine &line, EtcdOptions &etcd) {
    line.value("etcd-endpoints", etcd.endpoints, parse_endpoints, "etcd's client endpoints, with commas between");
    line.text("etcd-prefix", etcd.prefix, "prefix of the keys in etcd");
    line.text("etcd-cafile", etcd.cafile, "file with the authority that signed etcd's certificate");
    line.text("etcd-certfile", etcd.certfile, "file with this client's certificate");
    line.text("etcd-keyfile", etcd.keyfile, "file with this client's key");
    line.text("etcd-username", etcd.username, "user name at etcd");
    line.text("etcd-password", etcd.password,
              "password at etcd; every user sees a command line: not to be given there");
    line.text("etcd-password-file", etcd.password_file, "file with the password at etcd, read anew for each login");
}

void declare_uplink(CommandLine &line, Options &options) {
    const auto any = [](const std::string &text) -> Result<std::string> { return text; };
    line.list("iface", options.uplink.ifaces, any,
              "uplink, by name or address; repeatable, the first that is there wins");
    line.list("iface-regex", options.uplink.iface_regexes, parse_regex,
              "uplink, by a pattern on addresses or names; repeatable, tried after --iface");
    line.value("iface-can-reach", options.uplink.can_reach, parse_ip, "uplink, by the route to this address");
    line.value("public-ip", options.uplink.public_ip, parse_ip4, "address that other nodes send to");
    line.value("public-ipv6", options.uplink.public_ipv6, parse_ip6, "IPv6 address that other nodes send to");
}

void declare_own(CommandLine &line, Options &options, std::vector<std::string> &checks) {
    line.path("subnet-file", options.subnet_file, "where the CNI plugin finds this node's subnet and MTU");
    line.value("subnet-lease-renew-margin", options.renew_margin, parse_margin,
               "minutes before its end at which a lease is renewed");
    line.boolean("ip-masq", options.ip_masq, "masquerade what pods send out of the pod network");
    line.boolean("iptables-forward-rules", options.forward_rules,
                 "accept what is forwarded from and to pods in iptables' FORWARD chain");
    line.value("iptables-resync", options.rules_resync, parse_resync,
               "seconds between looks at iptables-legacy's rules; other changes are seen at once");
    line.value("firewall", options.firewall, parse_firewall,
               "where firewall rules are kept: auto (as the host does), nftables or iptables");
    line.value("healthz-ip", options.healthz_ip, parse_ip, "address of the health server");
    line.value("healthz-port", options.healthz_port, parse_port, "port of the health server; 0: none");
    line.path("run-dir", options.run_dir, "control socket, lock and state of the running system");
    line.path("bpf-dir", options.bpf_dir, "where maps and programs are pinned");
    line.value("log-level", options.log_level, parse_log_level, "debug, info, warn or error");
    line.boolean("fast-path", options.fast_path,
                 "carry pods' packets past the host's stack; off: its FORWARD chain sees every one of them");
    line.list(
        "check", checks, [](std::string_view text) { return parse_checks(text); },
        "NAME=enforce, =count or =off: how strict a check of packets is, by the reason for which it drops; repeatable");
    line.value("peer-backends", options.peer_backends, parse_backends,
               "backends, with commas between, whose nodes are reached beside those of the configured one");
    line.value("datapath", options.datapath, parse_datapath, "where tunnel packets are opened: auto, tc or xdp");
}

bool everybody_reads(const std::string &path) {
    struct stat found{};
    return ::stat(path.c_str(), &found) == 0 && (found.st_mode & S_IROTH) != 0;
}

bool is_plain(const EtcdOptions &etcd) {
    const bool tls = !etcd.cafile.empty() || !etcd.certfile.empty();
    return std::ranges::any_of(etcd.endpoints, [&](const std::string &url) {
        return url.starts_with("http://") || (!tls && !url.starts_with("https://"));
    });
}

/// Ways in which others come to know the password.
std::vector<std::string> leaks(const CommandLine &line, const EtcdOptions &etcd) {
    std::vector<std::string> warnings;
    if (line.was_typed("etcd-password"))
        warnings.emplace_back(
            "--etcd-password stood on the command line, where every user could read it until now: give "
            "--etcd-password-file, or WEFT_ETCD_PASSWORD");
    else if (const auto file = line.config_file();
             !etcd.password.empty() && !line.came_from_environment("etcd-password") && everybody_reads(file))
        warnings.push_back(fmt::format("{}: every user may read it, and it has the password at etcd: chmod 600", file));
    for (const auto &file : {etcd.password_file, etcd.keyfile})
        if (!file.empty() && everybody_reads(file))
            warnings.push_back(fmt::format("{}: every user may read it: chmod 600", file));
    if (!etcd.username.empty() && is_plain(etcd))
        warnings.emplace_back("--etcd-username with an http:// endpoint: the password can be read on the way");
    return warnings;
}

/// What no single flag can tell.
Status check_together(const Options &options) {
    if (options.etcd.certfile.empty() != options.etcd.keyfile.empty())
        return fail(fmt::format("--{} is given without --{}: a client certificate needs both",
                                options.etcd.keyfile.empty() ? "etcd-certfile" : "etcd-keyfile",
                                options.etcd.keyfile.empty() ? "etcd-keyfile" : "etcd-certfile"));
    if (!options.etcd.password.empty() && !options.etcd.password_file.empty())
        return fail("--etcd-password and --etcd-password-file are both given: which one counts?");
    if (options.etcd.prefix.find_first_not_of('/') == std::string::npos)
        return fail(fmt::format("--etcd-prefix: {} is not a key prefix (such as \"/coreos.com/network\")",
                                in_quotes(options.etcd.prefix)));
    return {};
}

} // namespace

Result<std::variant<ParsedFlags, PrintAndExit>> parse_flags(std::span<const std::string> args, const EnvLookup &env) {
    ParsedFlags parsed;
    CommandLine line;
    declare_etcd(line, parsed.options.etcd);
    declare_uplink(line, parsed.options);
    std::vector<std::string> checks;
    declare_own(line, parsed.options, checks);
    bool version = false, kube = false, no_random_ports = false;
    line.boolean("version", version, "print the version and exit");
    line.boolean("ip-masq-fully-random-disable", no_random_ports, "masquerade without randomising source ports");
    line.boolean("kube-subnet-mgr", kube, "not supported: weft takes its leases from etcd");
    std::array<std::string, std::size(kIgnoredFlags)> ignored_values;
    std::array<bool, std::size(kIgnoredFlags)> ignored_bools{};
    for (std::size_t i = 0; i < std::size(kIgnoredFlags); ++i) {
        const auto help = fmt::format("accepted and ignored: {}", kIgnoredFlags[i].why);
        if (kIgnoredFlags[i].is_bool)
            line.boolean(kIgnoredFlags[i].name, ignored_bools[i], help);
        else
            line.text(kIgnoredFlags[i].name, ignored_values[i], help);
    }

    if (auto done = line.parse(args, env); !done) return fail_as_is(std::move(done));
    if (line.wants_help()) return PrintAndExit{line.help()};
    if (version) return PrintAndExit{"weftd " WEFT_VERSION "\n"};
    if (kube)
        return fail("--kube-subnet-mgr: leases from the Kubernetes API are not supported, only from etcd; without them "
                    "this node would not join the cluster it is meant for");
    if (auto good = check_together(parsed.options); !good) return fail_as_is(std::move(good));
    for (const auto &text : checks)
        if (!text.empty()) parsed.options.checks = *parse_checks(text, parsed.options.checks);
    parsed.options.masq_random_ports = !no_random_ports;
    parsed.warnings = leaks(line, parsed.options.etcd);
    for (const auto &flag : kIgnoredFlags)
        if (line.given(flag.name)) parsed.warnings.push_back(fmt::format("--{} is ignored: {}", flag.name, flag.why));
    return parsed;
}

} // namespace weft
