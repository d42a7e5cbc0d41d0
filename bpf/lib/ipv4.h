/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_IPV4_H
#define WEFT_LIB_IPV4_H

#include <stdbool.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>

#include "lib/csum.h"
#include "lib/cursor.h"
#include "weft_reasons.h"

enum {
	IP4_MF = 0x2000,
	IP4_OFFSET = 0x1fff,
};

/* What the programs keep of an IPv4 packet: values, so that they outlive the packet pointers. */
struct ip4_view {
	__be32 saddr;
	__be32 daddr;
	__be16 sport; /* ports: only after ip4_view_l4() */
	__be16 dport;
	__u16 header_len; /* of network and transport header, bytes: only after ip4_view_l4() */
	__u8 proto;
	__u8 tos;
	__u8 ttl;
	bool may_open; /* a flow may begin with this packet: TCP SYN, any UDP; only after ip4_view_l4() */
};

/* Reads the header and refuses what no receiver should see. frame_left: bytes of the whole packet from the header on.
 * A GSO packet may have tot_len 0 (BIG TCP) and is always as long as it says otherwise. */
static __always_inline enum weft_reason ip4_view_header(struct cursor *c, __u32 frame_left, struct ip4_view *v,
							struct iphdr **header)
{
	struct iphdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return WEFT_R_TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return WEFT_R_BAD_IPV4;
	if (bpf_ntohs(ip->tot_len) > frame_left || (ip->tot_len && bpf_ntohs(ip->tot_len) < ip->ihl * 4))
		return WEFT_R_BAD_IPV4;
	v->saddr = ip->saddr;
	v->daddr = ip->daddr;
	v->proto = ip->protocol;
	v->tos = ip->tos;
	v->ttl = ip->ttl;
	*header = ip;
	return WEFT_R_NONE;
}

/* May this packet be forwarded without the stack, as far as its own headers tell? Reads the ports. */
static __always_inline enum weft_reason ip4_view_l4(struct cursor *c, const struct iphdr *ip, struct ip4_view *v)
{
	if (ip->ihl != 5)
		return WEFT_R_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP4_MF | IP4_OFFSET))
		return WEFT_R_FRAGMENT;
	if (ip->ttl <= 1)
		return WEFT_R_TTL_EXPIRING;
	if (v->proto == IPPROTO_TCP) {
		const struct tcphdr *tcp = take(c, sizeof(*tcp));

		if (!tcp)
			return WEFT_R_TRUNCATED;
		v->sport = tcp->source;
		v->dport = tcp->dest;
		v->header_len = sizeof(*ip) + tcp->doff * 4;
		v->may_open = tcp->syn && !tcp->ack;
		return WEFT_R_NONE;
	}
	if (v->proto == IPPROTO_UDP) {
		const struct udphdr *udp = take(c, sizeof(*udp));

		if (!udp)
			return WEFT_R_TRUNCATED;
		v->sport = udp->source;
		v->dport = udp->dest;
		v->header_len = sizeof(*ip) + sizeof(*udp);
		v->may_open = true;
		return WEFT_R_NONE;
	}
	/* Conntrack cannot be asked about other protocols, and one direction of a flow through the stack with the other
	 * past it makes conntrack call the flow invalid: all of them take the stack. */
	return WEFT_R_L4_UNTRACKED;
}

/* One hop: both nodes route, so each takes one from the TTL, as with flannel. The caller made sure that TTL > 1. */
static __always_inline void ip4_forwarded(struct iphdr *ip)
{
	const __u16 *word = (const __u16 *)&ip->ttl;
	const __u16 old_word = *word;

	ip->ttl--;
	ip->check = csum_replace16(ip->check, old_word, *word);
}

static __always_inline void ip4_set_ecn(struct iphdr *ip, __u8 ecn)
{
	const __u16 *word = (const __u16 *)ip;
	const __u16 old_word = *word;

	ip->tos = (ip->tos & ~3) | ecn;
	ip->check = csum_replace16(ip->check, old_word, *word);
}

#endif
