/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_CARRIED_H
#define WEFT_LIB_CARRIED_H

/* What a packet carries behind IPv4 options and IPv6 extension headers, which the fast path leaves to the stack. */
#include "lib/ip.h"

enum {
	MAX_EXTENSIONS = 6,
	OPTION_UNITS = 8, /* an extension header's length counts in these */
	AUTHENTICATION_UNITS = 4,
	NEXT_HEADER_AT = ETH_HLEN + __builtin_offsetof(struct ipv6hdr, nexthdr),
};

struct carried {
	__u8 proto;
	__u32 at;    /* in the frame */
	bool later;  /* a fragment that does not have the beginning of it */
	bool hidden; /* headers go on beyond what is looked at */
};

static __always_inline void carried_by_ip6(struct __sk_buff *skb, struct carried *carried)
{
	struct {
		__u8 next;
		__u8 len;
		__be16 fragment;
	} head;
	int i;

	for (i = 0; i < MAX_EXTENSIONS; i++) {
		if (!extension(carried->proto))
			return;
		if (bpf_skb_load_bytes(skb, carried->at, &head, sizeof(head)))
			break;
		if (carried->proto == NEXT_FRAGMENT) {
			carried->at += OPTION_UNITS;
			carried->later = (head.fragment & bpf_htons(IP6_OFFSET)) != 0;
		} else if (carried->proto == NEXT_AUTHENTICATION) {
			carried->at += (head.len + 2) * AUTHENTICATION_UNITS;
		} else {
			carried->at += (head.len + 1) * OPTION_UNITS;
		}
		carried->proto = head.next;
		if (carried->later)
			return;
	}
	carried->hidden = extension(carried->proto) != WEFT_R_NONE;
}

static __always_inline struct carried carried_by(struct __sk_buff *skb, const struct ip_view *v)
{
	struct carried carried = {.proto = v->proto, .at = ETH_HLEN + sizeof(struct ipv6hdr)};
	struct iphdr ip;

	if (v->version == 6) {
		carried_by_ip6(skb, &carried);
		return carried;
	}
	/* unreached: a whole IP header was read before */
	carried.hidden = bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) != 0;
	carried.at = ETH_HLEN + ip.ihl * 4;
	carried.later = (ip.frag_off & bpf_htons(IP4_OFFSET)) != 0;
	return carried;
}

/* Whether a packet, from its Ethernet header on, is of IPv6 router or neighbour discovery, or hides whether it is. No node
 * forwards that. A global function, which the verifier walks through once. */
__noinline int weft_is_discovery(struct __sk_buff *skb)
{
	struct carried carried = {.at = ETH_HLEN + sizeof(struct ipv6hdr)};
	__u8 type = 0;

	/* unreached: a whole IP header was read before */
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, NEXT_HEADER_AT, &carried.proto, 1))
		return false;
	carried_by_ip6(skb, &carried);
	/* unreached: a later fragment hides nothing */
	if (carried.hidden)
		return true;
	if (carried.later || carried.proto != NEXT_ICMPV6 || bpf_skb_load_bytes(skb, carried.at, &type, 1))
		return false;
	return type >= ND_ROUTER_SOLICITATION && type <= ND_REDIRECT;
}

#endif
