// SPDX-License-Identifier: Apache-2.0
#include "cni/allowed_note.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>

#include "cni/text_file.hpp"

namespace weft::cni {
namespace {

constexpr std::string_view kAllowedPrefix = "allowed.";
constexpr std::string_view kAny = "any";

std::filesystem::path path_of(const std::filesystem::path &run_dir, std::string_view host_ifname) {
    return run_dir / (std::string(kAllowedPrefix) + std::string(host_ifname));
}

/// A prefix a line.
std::string to_text(const std::vector<Net> &sources, bool any) {
    if (any) return std::string(kAny) + "\n";
    std::string text;
    for (const Net &net : sources) text += net.to_string() + "\n";
    return text;
}

AllowedNote parse(std::string_view host_ifname, const std::string &text) {
    AllowedNote note{.host_ifname = std::string(host_ifname), .sources = {}};
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line == kAny)
            note.any = true;
        else if (const auto net = parse_net(line))
            note.sources.push_back(*net);
    }
    return note;
}

} // namespace

std::vector<weft_allowed_key> allowed_keys(int ifindex, const std::vector<Net> &sources, bool any) {
    const auto link = static_cast<__u32>(ifindex);
    if (any) return {{.prefix_len = WEFT_ALLOWED_ANY, .ifindex = link, .addr = {}}};
    std::vector<weft_allowed_key> keys;
    for (const Net &net : sources) {
        const unsigned mapped = net.is_v4() ? 96 : 0;
        keys.push_back({.prefix_len = WEFT_ALLOWED_ANY + mapped + net.prefix_length(),
                        .ifindex = link,
                        .addr = abi::ip(net.address())});
    }
    return keys;
}

Status note_allowed(const std::filesystem::path &run_dir, std::string_view host_ifname, const std::vector<Net> &sources,
                    bool any) {
    // Also before there is another one, and where there is none to be: of a pod of this name that ended without DEL.
    if (auto forgotten = forget_allowed(run_dir, host_ifname); !forgotten) return forgotten;
    const auto text = to_text(sources, any);
    if (text.empty()) return {};
    auto made = create_whole(path_of(run_dir, host_ifname), text, 0600);
    return made ? Status() : fail_as_is(std::move(made));
}

Status forget_allowed(const std::filesystem::path &run_dir, std::string_view host_ifname) {
    const auto path = path_of(run_dir, host_ifname);
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail_errno(errno, path.string());
}

std::vector<AllowedNote> allowed_notes(const std::filesystem::path &run_dir) {
    std::vector<AllowedNote> notes;
    std::error_code ignored; // weftd made it; somebody who removed it has removed the notes too
    for (std::filesystem::directory_iterator entry(run_dir, ignored), end; !ignored && entry != end;
         entry.increment(ignored)) {
        const auto name = entry->path().filename().string();
        if (!name.starts_with(kAllowedPrefix)) continue;
        if (const auto text = read_text_at(AT_FDCWD, entry->path()))
            notes.push_back(parse(std::string_view(name).substr(kAllowedPrefix.size()), *text));
    }
    return notes;
}

} // namespace weft::cni
