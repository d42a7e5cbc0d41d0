// SPDX-License-Identifier: Apache-2.0
// weft_udp_backend: a node of flannel's udp backend, as small as it can be, for tests.
//
//   weft_udp_backend ADDRESS PORT DEVICE [SUBNET=NODE]...
//
// Makes the TUN device and forwards between it and the socket until it is killed: what the host sends into DEVICE goes,
// bare, as the payload of a UDP datagram to the node whose SUBNET it is for; what arrives comes out of DEVICE. Each way takes
// one from the TTL. Prints "ready" when packets may come.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/addr.hpp"

namespace {

using Packet = std::array<unsigned char, 65536>;

struct Peer {
    weft::Net4 subnet;
    in_addr node;
};

[[noreturn]] void die(const std::string &what) {
    std::perror(what.c_str());
    std::exit(1);
}

int open_tun(const char *name) {
    const int fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0) die("/dev/net/tun");
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) != 0) die(name);
    return fd;
}

int open_socket(const char *address, std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in own{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    if (fd < 0 || inet_pton(AF_INET, address, &own.sin_addr) != 1) die(address);
    if (bind(fd, reinterpret_cast<sockaddr *>(&own), sizeof own) != 0) die(address);
    return fd;
}

/// A router's duty. @return whether the packet may go on.
bool take_hop(std::span<unsigned char> packet) {
    if (packet.size() < sizeof(iphdr)) return false;
    iphdr header{};
    std::memcpy(&header, packet.data(), sizeof header);
    if (header.version != 4 || header.ttl <= 1) return false;
    --header.ttl;
    const unsigned sum = header.check + 0x0001U; // RFC 1141: the TTL is the high octet of its word, in network order
    header.check = static_cast<std::uint16_t>(sum + (sum >> 16));
    std::memcpy(packet.data(), &header, sizeof header);
    return true;
}

const Peer *peer_of(const std::vector<Peer> &peers, std::span<const unsigned char> packet) {
    weft::Ip4::bytes_type octets{};
    std::memcpy(octets.data(), packet.data() + offsetof(iphdr, daddr), octets.size());
    for (const auto &peer : peers)
        if (weft::contains(peer.subnet, weft::Ip4(octets))) return &peer;
    return nullptr;
}

void forward(int tun, int sock, std::uint16_t port, const std::vector<Peer> &peers) {
    Packet buffer;
    pollfd ready[] = {{tun, POLLIN, 0}, {sock, POLLIN, 0}};
    while (poll(ready, 2, -1) >= 0) {
        if (ready[0].revents) {
            const auto length = read(tun, buffer.data(), buffer.size());
            const std::span packet(buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
            const auto *peer = take_hop(packet) ? peer_of(peers, packet) : nullptr;
            if (peer) {
                const sockaddr_in to{
                    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = peer->node, .sin_zero = {}};
                (void)!sendto(sock, packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr *>(&to),
                              sizeof to);
            }
        }
        if (ready[1].revents) {
            const auto length = recv(sock, buffer.data(), buffer.size(), 0);
            const std::span packet(buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
            if (take_hop(packet)) (void)!write(tun, packet.data(), packet.size());
        }
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    std::vector<Peer> peers;
    for (int i = 4; i < argc; ++i) {
        const std::string word = argv[i];
        const auto equals = word.find('=');
        const auto subnet = weft::parse_net4(word.substr(0, equals));
        in_addr node{};
        if (!subnet || equals == std::string::npos || inet_pton(AF_INET, word.c_str() + equals + 1, &node) != 1)
            return 2;
        peers.push_back({*subnet, node});
    }
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[2]));
    const int tun = open_tun(argv[3]);
    const int sock = open_socket(argv[1], port);
    std::puts("ready");
    std::fflush(stdout);
    forward(tun, sock, port, peers);
    die("poll");
}
