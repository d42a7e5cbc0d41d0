/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_VXLAN_H
#define WEFT_LIB_VXLAN_H

/* RFC 7348 as flannel speaks it: one VNI, IPv4 underlay, inner Ethernet from VtepMAC to VtepMAC. */
#include <linux/if_ether.h>

#include "lib/ecn.h"
#include "lib/ipv4.h"
#include "lib/leases.h"
#include "lib/verdict.h"

struct vxlanhdr {
	__be32 flags;
	__be32 vni; /* network identifier in the upper 24 bits */
};

enum {
	VXLAN_FLAGS = 0x08000000, /* only I: the VNI is valid. Kernel receivers drop every other bit too */
	VXLAN_UDP_OFFSET = sizeof(struct iphdr),
	VXLAN_HEADER_OFFSET = VXLAN_UDP_OFFSET + sizeof(struct udphdr),
	VXLAN_INNER_ETH_OFFSET = VXLAN_HEADER_OFFSET + sizeof(struct vxlanhdr),
	VXLAN_INNER_IP_OFFSET = VXLAN_INNER_ETH_OFFSET + ETH_HLEN, /* all from the outer IP header on */
	OUTER_TTL = 64,
	IP_MAX_LEN = 65535,
	/* net.ipv4.ip_local_port_range as it comes: sites filter on it, so source ports stay inside. */
	SPORT_FIRST = 32768,
	SPORT_COUNT = 60999 - 32768 + 1,
	ADDRESS_FAMILY_INET = 2, /* AF_INET: <sys/socket.h> is no header for BPF */
};
WEFT_STATIC_ASSERT(VXLAN_INNER_IP_OFFSET == WEFT_VXLAN_OVERHEAD, "overhead");

enum {
	/* INNER MAC at 14: with the length of the VXLAN header in it too (22), bulk TCP stalls, because drivers check
	 * where the inner headers start. NO_CSUM_RESET: what is verified stays so. FIXED_GSO: pods' MTU leaves room, so
	 * segments need not shrink. L2_ETH (5.13): otherwise the kernel does not offer it to the NIC as VXLAN. */
	PUSH_FLAGS = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
		     BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH,
	POP_FLAGS = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET,
};

/* Would the packet, tunnelled, be longer than the path takes? A GSO packet is as long as its segments. v must have its
 * header_len when the packet is GSO. */
static __always_inline enum weft_reason fits_path(const struct __sk_buff *skb, const struct ip4_view *v, __u32 mtu)
{
	if (!skb->gso_size)
		return skb->len - ETH_HLEN <= mtu ? WEFT_R_NONE : WEFT_R_TOO_BIG;
	/* The outer length field has 16 bits, even if segmentation will rewrite it. */
	if (skb->len - ETH_HLEN > IP_MAX_LEN - WEFT_VXLAN_OVERHEAD)
		return WEFT_R_TOO_BIG;
	if (v->proto != IPPROTO_TCP && v->proto != IPPROTO_UDP)
		return WEFT_R_GSO_UNKNOWN;
	return skb->gso_size + v->header_len <= mtu ? WEFT_R_NONE : WEFT_R_TOO_BIG;
}

/* Spreads flows over the source port, for ECMP and RSS, the way the kernel's udp_flow_src_port() does. */
static __always_inline __be16 source_port(__u32 hash)
{
	hash ^= hash << 16;
	return bpf_htons((((__u64)hash * SPORT_COUNT) >> 32) + SPORT_FIRST);
}

/* The outer packet's identification. DF is clear, as with flannel, so a smaller path fragments instead of losing packets, and
 * the receiver tells the fragments of two packets apart by this alone: CPUs that count on their own must not meet, so each has
 * its share of the numbers. Counting up, because GRO on the other side wants that within a flow. */
static __always_inline __be16 outer_id(__u64 packets_sent)
{
	const __u32 counted = (1U << (cfg.ip_id_bits & 31)) - 1;

	return bpf_htons((bpf_get_smp_processor_id() << (cfg.ip_id_bits & 31)) | (packets_sent & counted));
}

/* Pushes the outer headers of a lease, all but the outer Ethernet addresses, and counts the packet for the lease.
 * Until the push succeeds the packet is untouched. hop: whether this node is a hop of the inner packet's way. */
static __always_inline enum weft_reason vxlan_push(struct __sk_buff *skb, const struct weft_lease *lease,
						   __u8 inner_tos, bool hop)
{
	struct weft_lease_stats *stats = lease_stats_of(lease->stats_index);
	const __u32 hash = bpf_get_hash_recalc(skb);
	const __u32 packets = wire_packets(skb);
	const __u32 outer_len = skb->len - ETH_HLEN + WEFT_VXLAN_OVERHEAD;
	struct cursor c;
	struct ethhdr *inner_eth;
	struct iphdr *ip, *inner_ip;
	struct udphdr *udp;
	struct vxlanhdr *vxlan;
	void *outer;

	if (!stats)
		return WEFT_R_PUSH_REFUSED;
	if (bpf_skb_adjust_room(skb, WEFT_VXLAN_OVERHEAD, BPF_ADJ_ROOM_MAC,
				PUSH_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L2((__u64)ETH_HLEN)))
		return WEFT_R_PUSH_REFUSED;

	c = skb_cursor(skb);
	if (!take(&c, ETH_HLEN))
		return WEFT_R_PUSH_FAILED;
	outer = take(&c, WEFT_VXLAN_OVERHEAD);
	inner_ip = take(&c, sizeof(*inner_ip));
	if (!outer || !inner_ip)
		return WEFT_R_PUSH_FAILED;
	ip = outer;
	udp = outer + VXLAN_UDP_OFFSET;
	vxlan = outer + VXLAN_HEADER_OFFSET;
	inner_eth = outer + VXLAN_INNER_ETH_OFFSET;

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = ecn_outer_tos(inner_tos);
	ip->tot_len = bpf_htons(outer_len);
	ip->id = outer_id(stats->tx_packets);
	ip->frag_off = 0;
	ip->ttl = OUTER_TTL;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = ip4_of(&cfg.node);
	ip->daddr = *(const __be32 *)&lease->node;
	ip->check = ip4_header_csum(ip);

	udp->source = source_port(hash);
	udp->dest = bpf_htons(cfg.port);
	udp->len = bpf_htons(outer_len - sizeof(*ip));
	/* RFC 7348 asks for zero. It also spares both ends the sum over the payload, and the class of bugs where NAT meets
	 * a half-done outer checksum. */
	udp->check = 0;

	vxlan->flags = bpf_htonl(VXLAN_FLAGS);
	vxlan->vni = bpf_htonl(cfg.vni << 8);

	__builtin_memcpy(inner_eth->h_dest, &lease->vtep_mac, ETH_ALEN);
	write_vtep_mac(inner_eth->h_source);
	inner_eth->h_proto = bpf_htons(ETH_P_IP);
	if (hop)
		ip4_forwarded(inner_ip);

	stats->tx_packets += packets;
	stats->tx_bytes += skb->len;
	return WEFT_R_NONE;
}

/* Sends a packet with its outer headers to the lease's next hop. The kernel's neighbour table gives the MAC, resolves it when
 * unknown and follows it when it changes, without anybody's help. For packets that came in on a device and so have no route of
 * their own yet. */
static __always_inline enum weft_reason send_to_next_hop(struct __sk_buff *skb, const struct weft_lease *lease)
{
	struct bpf_redir_neigh next_hop = {.nh_family = ADDRESS_FAMILY_INET};

	next_hop.ipv4_nh = *(const __be32 *)&lease->next_hop;
	skb->mark = 0; /* kube-proxy's and portmap's marks mean nothing on the underlay */
	if (bpf_redirect_neigh(lease->ifindex, &next_hop, sizeof(next_hop), 0) != TC_ACT_REDIRECT)
		return WEFT_R_REDIRECT_FAILED;
	return WEFT_R_ENCAP;
}

/* The same for what the stack sends. Such a packet carries the route that led to weft.1, and if it has to wait for the next
 * hop's MAC, the kernel sends it to that route's neighbour afterwards (neigh_update() looks it up again, 6.18): it would be
 * lost. A route look-up of its own replaces that route. */
static __always_inline enum weft_reason send_by_route(struct __sk_buff *skb, const struct weft_lease *lease)
{
	skb->mark = 0;
	if (bpf_redirect_neigh(lease->ifindex, NULL, 0, 0) != TC_ACT_REDIRECT)
		return WEFT_R_REDIRECT_FAILED;
	return WEFT_R_ENCAP;
}

#endif
