/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_OUTER_H
#define WEFT_LIB_OUTER_H

/* What writers and readers of outer headers share. */
#include "lib/ecn.h"
#include "lib/ip.h"
#include "lib/leases.h"

enum {
	OUTER_TTL = 64,
	/* net.ipv4.ip_local_port_range as it comes: sites filter on it, so source ports stay inside. */
	SPORT_FIRST = 32768,
	SPORT_COUNT = 60999 - 32768 + 1,
};

/* The inner packet, as far as outer headers depend on it; and which outer packet this is. */
struct inner {
	__u32 len;  /* bytes from the inner IP header on */
	__u32 hash; /* of its flow */
	__u64 sent; /* packets to this node before it, by this CPU */
	__be16 ethertype;
	__u8 tos;
};

/* The outermost IP header of a packet from the wire; that of the packet itself where nothing is around it. */
struct outer {
	struct weft_ip saddr;
	struct weft_ip daddr;
	const struct suspect *who;
	void *header;
	__u32 len;		/* by its own word, from it on */
	__be16 ethertype;	/* of it */
	__be16 inner_ethertype; /* a reader's word on what comes behind the encapsulation */
	__u8 proto;
	__u8 tos;
	bool to_us; /* daddr is an outer address of this node */
};

/* The outer packet's identification. DF is clear, as with flannel, so a smaller path fragments instead of losing packets, and
 * the receiver tells the fragments of two packets apart by this alone: CPUs that count on their own must not meet, so each has
 * its share of the numbers. Counting up, because GRO on the other side wants that within a flow. */
static __always_inline __be16 outer_id(__u64 packets_sent)
{
	const __u32 counted = (1U << (cfg.ip_id_bits & 31)) - 1;

	return bpf_htons((bpf_get_smp_processor_id() << (cfg.ip_id_bits & 31)) | (packets_sent & counted));
}

static __always_inline void outer_ip4(struct iphdr *ip, const struct weft_lease *lease, const struct inner *inner,
				      __u8 proto, __u32 len)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = ecn_outer_tos(inner->tos);
	ip->tot_len = bpf_htons(len);
	ip->id = outer_id(inner->sent);
	ip->frag_off = 0;
	ip->ttl = OUTER_TTL;
	ip->protocol = proto;
	ip->saddr = node_ip4();
	ip->daddr = ip4_of(&lease->node);
	ip->check = ip4_header_csum(ip);
}

/* The flow label tells flows apart for routers that do not look behind the IPv6 header (RFC 6438); all packets of a flow have
 * the same, or GRO would not join them. */
static __always_inline void outer_ip6(struct ipv6hdr *ip, const struct weft_lease *lease, const struct inner *inner,
				      __u8 next, __u32 payload_len)
{
	const __u8 class = ecn_outer_tos(inner->tos);

	*(__be32 *)ip = bpf_htonl(6U << 28 | class << 20 | (inner->hash & 0xfffff));
	ip->payload_len = bpf_htons(payload_len);
	ip->nexthdr = next;
	ip->hop_limit = OUTER_TTL;
	write_node_ip6(&ip->saddr);
	__builtin_memcpy(&ip->daddr, &lease->node, sizeof(ip->daddr));
}

/* Spreads flows over the source port, for ECMP and RSS, the way the kernel's udp_flow_src_port() does. */
static __always_inline __be16 source_port(__u32 hash)
{
	hash ^= hash << 16;
	return bpf_htons((((__u64)hash * SPORT_COUNT) >> 32) + SPORT_FIRST);
}

/* Whether UDP and the IP header in front of it say the same of where the packet ends. Where they do not, the kernel trims it or
 * drops it. What is longer than an IP packet can be is the kernel's own making (GSO, GRO), and no length in it says so. */
static __always_inline bool is_udp_len_right(const struct udphdr *udp, const struct outer *o)
{
	const __u32 ip_header = o->ethertype == bpf_htons(ETH_P_IP) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	/* unreached: a test run takes no packet that long (BIG TCP) */
	return o->len > IP_MAX_LEN || bpf_ntohs(udp->len) == o->len - ip_header;
}

/* Without a checksum, which IPv4 allows (RFC 768), and IPv6 for tunnels whose receiver agreed (RFC 6935): it spares both ends
 * the sum over the payload, and the class of bugs where NAT meets a half-done outer checksum. */
static __always_inline void outer_udp(struct udphdr *udp, __be16 sport, __u16 dport, __u32 len)
{
	udp->source = sport;
	udp->dest = bpf_htons(dport);
	udp->len = bpf_htons(len);
	udp->check = 0;
}

#endif
