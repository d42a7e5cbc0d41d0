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

/* Not <linux/icmp.h>: it needs the C library's headers, which BPF has none of. */
struct icmp_head {
	__u8 type;
	__u8 code;
	__be16 check;
	__be32 rest;
};
enum {
	ICMP_UNREACHABLE = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
};

/* What the programs keep of an IPv4 packet: values, so that they outlive the packet pointers. */
struct ip4_view {
	__be32 saddr;
	__be32 daddr;
	/* Whose NAT decides about this packet: its own flow, or for an ICMP error the flow of the packet it quotes, in the
	 * direction in which the error goes. Only after ip4_view_l4(). */
	__be32 flow_saddr;
	__be32 flow_daddr;
	__be16 sport;
	__be16 dport;
	__u8 flow_proto;
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

static __always_inline bool is_icmp_error(__u8 type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM ||
	       type == ICMP_SOURCE_QUENCH;
}

/* An ICMP error goes the way of the flow that it is about. Conntrack knows nothing of a flow on the fast path, would call an
 * error about it invalid, and kube-proxy's rules would drop that: no "port unreachable", no path MTU, no traceroute. */
static __always_inline enum weft_reason ip4_view_icmp(struct cursor *c, struct ip4_view *v)
{
	const struct icmp_head *icmp = take(c, sizeof(*icmp));
	const struct iphdr *quoted = take(c, sizeof(*quoted));
	const __be16 *ports = take(c, 2 * sizeof(*ports));

	if (!icmp || !quoted || !ports || !is_icmp_error(icmp->type))
		return WEFT_R_L4_UNTRACKED;
	if (quoted->version != 4 || quoted->ihl != 5 || quoted->frag_off & bpf_htons(IP4_MF | IP4_OFFSET))
		return WEFT_R_L4_UNTRACKED;
	if (quoted->saddr != v->daddr || (quoted->protocol != IPPROTO_TCP && quoted->protocol != IPPROTO_UDP))
		return WEFT_R_L4_UNTRACKED;
	v->flow_saddr = quoted->daddr;
	v->flow_proto = quoted->protocol;
	v->sport = ports[1];
	v->dport = ports[0];
	v->header_len = sizeof(struct iphdr) + sizeof(*icmp);
	return WEFT_R_NONE;
}

/* Makes linear what ip4_view_l4() reads of the IPv4 packet at `offset`. */
static __always_inline void ensure_headers(struct __sk_buff *skb, __u32 offset)
{
	const struct iphdr *ip;
	struct cursor c;

	ensure_linear(skb, offset + sizeof(*ip) + sizeof(struct tcphdr));
	c = skb_cursor(skb);
	if (!take(&c, offset))
		return;
	ip = take(&c, sizeof(*ip));
	if (ip && ip->protocol == IPPROTO_ICMP)
		ensure_linear(skb, offset + 2 * sizeof(*ip) + sizeof(struct icmp_head) + 2 * sizeof(__be16));
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
	v->flow_saddr = v->saddr;
	v->flow_daddr = v->daddr;
	v->flow_proto = v->proto;
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
	if (v->proto == IPPROTO_ICMP)
		return ip4_view_icmp(c, v);
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
