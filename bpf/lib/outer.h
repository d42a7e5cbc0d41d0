/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_OUTER_H
#define WEFT_LIB_OUTER_H

/* What writers of outer headers share. */
#include "lib/ecn.h"
#include "lib/ipv4.h"
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
	__u8 tos;
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
	ip->saddr = ip4_of(&cfg.node);
	ip->daddr = *(const __be32 *)&lease->node;
	ip->check = ip4_header_csum(ip);
}

/* Spreads flows over the source port, for ECMP and RSS, the way the kernel's udp_flow_src_port() does. */
static __always_inline __be16 source_port(__u32 hash)
{
	hash ^= hash << 16;
	return bpf_htons((((__u64)hash * SPORT_COUNT) >> 32) + SPORT_FIRST);
}

/* Without a checksum, which IPv4 allows (RFC 768): it spares both ends the sum over the payload, and the class of bugs where
 * NAT meets a half-done outer checksum. */
static __always_inline void outer_udp(struct udphdr *udp, __be16 sport, __u16 dport, __u32 len)
{
	udp->source = sport;
	udp->dest = bpf_htons(dport);
	udp->len = bpf_htons(len);
	udp->check = 0;
}

#endif
