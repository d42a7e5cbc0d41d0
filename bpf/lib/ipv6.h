/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_IPV6_H
#define WEFT_LIB_IPV6_H

#include <stdbool.h>

#include <linux/ipv6.h>

#include "lib/address.h"
#include "lib/cursor.h"
#include "lib/l4.h"
#include "lib/view.h"

/* Bytes up to the ports that an ICMPv6 error quotes. */
enum { IP6_ICMP_QUOTE = 2 * sizeof(struct ipv6hdr) + sizeof(struct icmp_head) + 2 * sizeof(__be16) };

enum { IP6_OFFSET = 0xfff8 }; /* of a fragment header's second half */

/* RFC 4443: types below 128 are errors; those from 5 on are nobody's yet. */
enum { ICMPV6_LAST_ERROR = 4 };

/* RFC 4861, in ICMPv6. */
enum {
	ND_ROUTER_SOLICITATION = 133,
	ND_ROUTER_ADVERTISEMENT = 134,
	ND_SOLICITATION = 135,
	ND_ADVERTISEMENT = 136,
	ND_REDIRECT = 137,
};

/* RFC 8200, section 4: what may stand between the IPv6 header and the transport header. */
static __always_inline enum weft_reason extension(__u8 next)
{
	switch (next) {
	case NEXT_FRAGMENT:
		return WEFT_R_FRAGMENT;
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_AUTHENTICATION:
	case NEXT_DESTINATION:
	case NEXT_MOBILITY:
		return WEFT_R_EXT_HEADERS;
	default:
		return WEFT_R_NONE;
	}
}

/* Across the first two octets (RFC 8200, section 3). */
static __always_inline __u8 traffic_class(const struct ipv6hdr *ip)
{
	return ip->priority << 4 | ip->flow_lbl[0] >> 4;
}

/* As ip4_len(). One without payload has 0 too. */
static __always_inline __u32 ip6_len(const struct ipv6hdr *ip, __u32 frame_left)
{
	/* unreached: a test run takes no packet that long (BIG TCP) */
	return !ip->payload_len && frame_left > IP_MAX_LEN ? frame_left : sizeof(*ip) + bpf_ntohs(ip->payload_len);
}

static __always_inline enum weft_reason ip6_view_header(struct cursor *c, __u32 frame_left, struct ip_view *v)
{
	const struct ipv6hdr *ip = take(c, sizeof(*ip));
	__u32 len;

	if (!ip)
		return WEFT_R_TRUNCATED;
	len = ip6_len(ip, frame_left);
	if (ip->version != 6 || len > frame_left)
		return WEFT_R_BAD_IP;
	__builtin_memcpy(&v->saddr, &ip->saddr, sizeof(v->saddr));
	__builtin_memcpy(&v->daddr, &ip->daddr, sizeof(v->daddr));
	/* On the wire such an address is nobody's (RFC 4291, section 2.5.5.2 is about sockets); here it would be IPv4's. */
	if (is_ip4(&v->saddr) || is_ip4(&v->daddr))
		return WEFT_R_BAD_IP;
	v->len = clamped_len(len);
	v->version = 6;
	v->proto = ip->nexthdr;
	v->tos = traffic_class(ip);
	v->hops = ip->hop_limit;
	v->header_len = sizeof(*ip);
	return WEFT_R_NONE;
}

/* As for IPv4: an error goes the way of the flow that it is about. */
static __always_inline enum weft_reason ip6_view_icmp(struct cursor *c, struct ip_view *v)
{
	const struct icmp_head *icmp = take(c, sizeof(*icmp));
	const struct ipv6hdr *quoted = take(c, sizeof(*quoted));
	const __be16 *ports = take(c, 2 * sizeof(*ports));
	struct weft_ip sender;

	if (!icmp || !quoted || !ports || icmp->type == 0 || icmp->type > ICMPV6_LAST_ERROR)
		return WEFT_R_L4_UNTRACKED;
	__builtin_memcpy(&sender, &quoted->saddr, sizeof(sender));
	if (quoted->version != 6 || !same_ip(&sender, &v->daddr) ||
	    (quoted->nexthdr != IPPROTO_TCP && quoted->nexthdr != IPPROTO_UDP))
		return WEFT_R_L4_UNTRACKED;
	__builtin_memcpy(&v->flow_saddr, &quoted->daddr, sizeof(v->flow_saddr));
	if (is_ip4(&v->flow_saddr)) /* as in ip6_view_header() */
		return WEFT_R_L4_UNTRACKED;
	v->flow_proto = quoted->nexthdr;
	v->sport = ports[1];
	v->dport = ports[0];
	v->header_len += sizeof(*icmp);
	return WEFT_R_NONE;
}

/* The lower bits of the traffic class; no checksum covers them. */
static __always_inline void ip6_set_ecn(struct ipv6hdr *ip, __u8 ecn)
{
	ip->flow_lbl[0] = (ip->flow_lbl[0] & ~0x30) | ecn << 4;
}

#endif
