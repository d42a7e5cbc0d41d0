/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_IPV4_H
#define WEFT_LIB_IPV4_H

#include <stdbool.h>

#include <linux/ip.h>

#include "lib/address.h"
#include "lib/csum.h"
#include "lib/cursor.h"
#include "lib/l4.h"
#include "lib/view.h"

enum {
	IP4_MF = 0x2000,
	IP4_OFFSET = 0x1fff,
	IP4_OPTIONS = 1 << 15, /* in ip4_odd, above flags and offset, which are as in the header */
};

/* Bytes up to the ports that an ICMP error quotes. */
enum { IP4_ICMP_QUOTE = 2 * sizeof(struct iphdr) + sizeof(struct icmp_head) + 2 * sizeof(__be16) };
enum {
	ICMP_UNREACHABLE = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
};

/* Only a GSO packet is longer than tot_len can say, which is 0 then (BIG TCP). */
static __always_inline __u32 ip4_len(const struct iphdr *ip, __u32 frame_left)
{
	/* unreached: a test run takes no packet that long (BIG TCP) */
	return !ip->tot_len && frame_left > IP_MAX_LEN ? frame_left : bpf_ntohs(ip->tot_len);
}

/* 1 or 0, without a branch: ihl has four bits. */
static __always_inline __u32 has_options(const struct iphdr *ip)
{
	return ((ip->ihl ^ 5) + 15) >> 4;
}

static __always_inline enum weft_reason ip4_view_header(struct cursor *c, __u32 frame_left, struct ip_view *v)
{
	const struct iphdr *ip = take(c, sizeof(*ip));
	__u32 len;

	if (!ip)
		return WEFT_R_TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return WEFT_R_BAD_IP;
	len = ip4_len(ip, frame_left);
	if (len > frame_left || len < ip->ihl * 4)
		return WEFT_R_BAD_IP;
	if (ip->ihl == 5 && !ip4_header_csum_ok(ip)) /* with options it is the stack's, which sums up too */
		return WEFT_R_BAD_IP;
	set_ip4(&v->saddr, ip->saddr);
	set_ip4(&v->daddr, ip->daddr);
	v->version = 4;
	v->proto = ip->protocol;
	v->tos = ip->tos;
	v->hops = ip->ttl;
	v->header_len = sizeof(*ip);
	v->len = clamped_len(len);
	v->ip4_odd = has_options(ip) * IP4_OPTIONS | (bpf_ntohs(ip->frag_off) & (IP4_MF | IP4_OFFSET));
	return WEFT_R_NONE;
}

/* Not asked in ip4_view_header(): whoever reads both families would walk on from each answer by itself. */
static __always_inline enum weft_reason ip4_oddity(const struct ip_view *v)
{
	if (!v->ip4_odd)
		return WEFT_R_NONE;
	return v->ip4_odd & IP4_OPTIONS ? WEFT_R_IP_OPTIONS : WEFT_R_FRAGMENT;
}

static __always_inline bool is_icmp_error(__u8 type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM ||
	       type == ICMP_SOURCE_QUENCH;
}

/* An ICMP error goes the way of the flow that it is about. Conntrack knows nothing of a flow on the fast path, would call an
 * error about it invalid, and kube-proxy's rules would drop that: no "port unreachable", no path MTU, no traceroute. */
static __always_inline enum weft_reason ip4_view_icmp(struct cursor *c, struct ip_view *v)
{
	const struct icmp_head *icmp = take(c, sizeof(*icmp));
	const struct iphdr *quoted = take(c, sizeof(*quoted));
	const __be16 *ports = take(c, 2 * sizeof(*ports));

	if (!icmp || !quoted || !ports || !is_icmp_error(icmp->type))
		return WEFT_R_L4_UNTRACKED;
	if (quoted->version != 4 || quoted->ihl != 5 || quoted->frag_off & bpf_htons(IP4_MF | IP4_OFFSET))
		return WEFT_R_L4_UNTRACKED;
	if (quoted->saddr != ip4_of(&v->daddr) || (quoted->protocol != IPPROTO_TCP && quoted->protocol != IPPROTO_UDP))
		return WEFT_R_L4_UNTRACKED;
	set_ip4(&v->flow_saddr, quoted->daddr);
	v->flow_proto = quoted->protocol;
	v->sport = ports[1];
	v->dport = ports[0];
	v->header_len += sizeof(*icmp);
	return WEFT_R_NONE;
}

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
