// SPDX-License-Identifier: Apache-2.0
#include "capture.hpp"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>

#include <fmt/format.h>
#include <tins/tins.h>

namespace weft::test {
namespace {

constexpr std::size_t kVxlanHeader = 8;

Mac mac_of(const Tins::HWAddress<6> &address) {
    Mac mac;
    std::copy(address.begin(), address.end(), mac.bytes.begin());
    return mac;
}

Ip4 ip_of(const Tins::IPv4Address &address) { return asio::ip::make_address_v4(address.to_string()); }

/// Judges a header by what libtins computes when it writes the same packet again.
Ip4View view_of(const Tins::IP &ip) {
    Ip4View view{.source = ip_of(ip.src_addr()),
                 .destination = ip_of(ip.dst_addr()),
                 .ttl = ip.ttl(),
                 .tos = ip.tos(),
                 .protocol = ip.protocol(),
                 .id = ip.id(),
                 .total_length = ip.tot_len(),
                 .dont_fragment = (ip.flags() & Tins::IP::DONT_FRAGMENT) != 0,
                 .fragment = ip.is_fragmented()};
    Tins::IP copy(ip);
    const auto bytes = copy.serialize();
    const Tins::IP again(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
    view.header_checksum_valid = ip.checksum() == again.checksum();
    view.length_valid = ip.tot_len() == again.tot_len();
    const auto judge = [](std::uint16_t is, std::uint16_t should_be) {
        return is == should_be ? Ip4View::Checksum::valid : Ip4View::Checksum::invalid;
    };
    if (const auto *udp = ip.find_pdu<Tins::UDP>()) {
        const auto &udp_again = again.rfind_pdu<Tins::UDP>();
        view.source_port = udp->sport();
        view.destination_port = udp->dport();
        view.l4_length_valid = udp->length() == udp_again.length();
        if (udp->checksum()) view.l4_checksum = judge(udp->checksum(), udp_again.checksum());
    } else if (const auto *tcp = ip.find_pdu<Tins::TCP>()) {
        view.source_port = tcp->sport();
        view.destination_port = tcp->dport();
        view.l4_checksum = judge(tcp->checksum(), again.rfind_pdu<Tins::TCP>().checksum());
    }
    if (const auto *raw = ip.find_pdu<Tins::RawPDU>()) view.payload = raw->payload();
    return view;
}

std::optional<VxlanFrame> decode(const Tins::PDU &pdu, std::uint16_t port) {
    const auto *eth = pdu.find_pdu<Tins::EthernetII>();
    const auto *ip = pdu.find_pdu<Tins::IP>();
    const auto *udp = pdu.find_pdu<Tins::UDP>();
    if (!eth || !ip || !udp || udp->dport() != port) return std::nullopt;
    VxlanFrame frame{
        .source_mac = mac_of(eth->src_addr()), .destination_mac = mac_of(eth->dst_addr()), .outer = view_of(*ip)};
    const auto &payload = frame.outer.payload;
    if (payload.size() < kVxlanHeader + 14) return frame;
    frame.flags = payload[0];
    frame.reserved_zero = (payload[1] | payload[2] | payload[3] | payload[7]) == 0;
    frame.vni = static_cast<std::uint32_t>(payload[4] << 16 | payload[5] << 8 | payload[6]);
    const Tins::EthernetII inner(payload.data() + kVxlanHeader,
                                 static_cast<std::uint32_t>(payload.size() - kVxlanHeader));
    frame.inner_source_mac = mac_of(inner.src_addr());
    frame.inner_destination_mac = mac_of(inner.dst_addr());
    frame.inner_ethertype = inner.payload_type();
    if (const auto *inner_ip = inner.find_pdu<Tins::IP>()) frame.inner = view_of(*inner_ip);
    return frame;
}

std::string line_of(const Ip4View &ip) {
    return fmt::format("{}:{} > {}:{} proto {} ttl {} tos {:#x} id {}{} len {}{}{} l4 {}", ip.source.to_string(),
                       ip.source_port, ip.destination.to_string(), ip.destination_port, ip.protocol, ip.ttl, ip.tos,
                       ip.id, ip.dont_fragment ? " DF" : "", ip.total_length, ip.length_valid ? "" : " (WRONG)",
                       ip.header_checksum_valid ? "" : " header checksum WRONG",
                       ip.l4_checksum == Ip4View::Checksum::none    ? "unchecked"
                       : ip.l4_checksum == Ip4View::Checksum::valid ? "ok"
                                                                    : "checksum WRONG");
}

constexpr std::uint16_t kMarkerEthertype = 0x88b5; // IEEE 802: for local experiments
constexpr std::string_view kMarker = "weft: end of capture";

/// Sends one frame out of `interface` that nobody takes.
Status send_marker(const std::string &netns, const std::string &interface) {
    return run_in_netns(netns, [&]() -> Status {
        const UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        if (!fd) return fail_errno(errno, "packet socket");
        sockaddr_ll to{.sll_family = AF_PACKET, .sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()))};
        std::string frame(12, '\x02'); // locally administered addresses
        frame += {static_cast<char>(kMarkerEthertype >> 8), static_cast<char>(kMarkerEthertype & 0xff)};
        frame += kMarker;
        frame.resize(std::max<std::size_t>(frame.size(), 60));
        if (::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr *>(&to), sizeof to) < 0)
            return fail_errno(errno, "send on " + interface);
        return {};
    });
}

} // namespace

std::string VxlanFrame::to_string() const {
    return fmt::format("{} > {} {} | vni {} flags {:#x} | {} > {} {}", source_mac.to_string(),
                       destination_mac.to_string(), line_of(outer), vni, flags, inner_source_mac.to_string(),
                       inner_destination_mac.to_string(),
                       inner ? line_of(*inner) : fmt::format("ethertype {:#06x}", inner_ethertype));
}

Result<std::vector<VxlanFrame>> read_vxlan(const std::filesystem::path &pcap, std::uint16_t port) {
    try {
        std::vector<VxlanFrame> frames;
        Tins::FileSniffer sniffer(pcap.string());
        sniffer.sniff_loop([&](const Tins::PDU &pdu) {
            if (auto frame = decode(pdu, port)) frames.push_back(std::move(*frame));
            return true;
        });
        return frames;
    } catch (const std::exception &e) {
        return fail(fmt::format("{}: {}", pcap.string(), e.what()));
    }
}

Result<Capture> Capture::start(const Netns &ns, std::string_view interface, std::string_view filter) {
    auto dir = TempDir::create("capture");
    if (!dir) return fail_as_is(std::move(dir));
    auto process = ns.spawn({"tcpdump", "-i", std::string(interface), "--immediate-mode", "-U", "-s", "0", "-w",
                             *dir / "capture.pcap", "-Z", "root",
                             fmt::format("({}) or ether proto {:#x}", filter, kMarkerEthertype)});
    if (!process) return fail_as_is(std::move(process));
    if (!process->wait_for_output("listening on")) return fail(process->describe());
    return Capture(std::move(*dir), std::move(*process), ns.path(), std::string(interface));
}

Status Capture::stop() {
    if (!tcpdump_.running()) return {};
    // tcpdump reads the kernel's ring in order and drops what it has not read when it is stopped.
    if (auto sent = send_marker(netns_, interface_); !sent) return sent;
    const auto marked = [&] {
        const auto text = read_file(file());
        return text && text->find(kMarker) != std::string::npos;
    };
    if (!wait_until(marked)) return fail("the end of the capture is not seen: " + tcpdump_.describe());
    if (auto sent = tcpdump_.signal(SIGINT); !sent) return sent;
    if (!tcpdump_.wait(5s)) return fail("tcpdump does not end");
    return {};
}

Result<std::vector<VxlanFrame>> Capture::vxlan_frames(std::uint16_t port) {
    if (auto stopped = stop(); !stopped) return fail_as_is(std::move(stopped));
    return read_vxlan(file(), port);
}

} // namespace weft::test
