/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_IP_H
#define WEFT_LIB_IP_H

/* An IP packet of either family, as the programs see it. */
#include "lib/ipv4.h"
#include "lib/ipv6.h"

static __always_inline bool is_ip_ethertype(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_IP) || ethertype == bpf_htons(ETH_P_IPV6);
}

/* Reads the header and refuses what no receiver should see. ethertype: as the header in front has it, of IPv4 or IPv6.
 * frame_left: bytes of the whole packet from the IP header on. */
static __always_inline enum weft_reason ip_view_header(struct cursor *c, __be16 ethertype, __u32 frame_left,
						       struct ip_view *v)
{
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return ip6_view_header(c, frame_left, v);
	return ip4_view_header(c, frame_left, v);
}

/* May this packet be forwarded without the stack, as far as its own headers tell? Reads the ports; the cursor must be where
 * ip_view_header() left it. */
static __always_inline enum weft_reason ip_view_l4(struct cursor *c, struct ip_view *v)
{
	enum weft_reason reason;

	reason = v->version == 6 ? extension(v->proto) : ip4_oddity(v);
	if (reason)
		return reason;
	if (v->hops <= 1)
		return WEFT_R_TTL_EXPIRING;
	v->flow_saddr = v->saddr;
	v->flow_proto = v->proto;
	if (v->proto == IPPROTO_TCP) {
		const struct tcphdr *tcp = take(c, sizeof(*tcp));

		if (!tcp || v->len < v->header_len + sizeof(*tcp))
			return WEFT_R_TRUNCATED;
		v->sport = tcp->source;
		v->dport = tcp->dest;
		v->header_len += tcp->doff * 4;
		v->may_open = tcp->syn && !tcp->ack;
		return WEFT_R_NONE;
	}
	if (v->proto == IPPROTO_UDP) {
		const struct udphdr *udp = take(c, sizeof(*udp));

		if (!udp || v->len < v->header_len + sizeof(*udp))
			return WEFT_R_TRUNCATED;
		v->sport = udp->source;
		v->dport = udp->dest;
		v->header_len += sizeof(*udp);
		v->may_open = true;
		return WEFT_R_NONE;
	}
	/* Conntrack cannot be asked about other protocols, and one direction of a flow through the stack with the other
	 * past it makes conntrack call the flow invalid: all of them take the stack. */
	reason = WEFT_R_L4_UNTRACKED;
	if (v->version == 4 && v->proto == IPPROTO_ICMP && v->len >= IP4_ICMP_QUOTE)
		reason = ip4_view_icmp(c, v);
	if (v->version == 6 && v->proto == NEXT_ICMPV6 && v->len >= IP6_ICMP_QUOTE)
		reason = ip6_view_icmp(c, v);
	return reason;
}

/* Spreads flows evenly over 32 bits. Only after ip_view_l4(). Multiplication by 2^64 over the golden ratio, a word at a time
 * (Knuth, The Art of Computer Programming 3, 6.4). */
static __always_inline __u32 ip_flow_hash(const struct ip_view *v)
{
	const struct ip_words from = words_of(&v->flow_saddr), to = words_of(&v->daddr);
	const __u64 words[] = {from.high, from.low, to.high, to.low,
			       (__u64)v->sport << 32 | (__u64)v->dport << 16 | v->flow_proto};
	__u64 hash = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 32;
	}
	return hash >> 32;
}

/* Bytes of the header behind IP's that are read. icmp: the family's protocol number and as much of its header and quote. */
static __always_inline __u32 l4_read_len(__u8 proto, __u8 icmp, __u32 icmp_len)
{
	if (proto == IPPROTO_TCP)
		return sizeof(struct tcphdr);
	if (proto == IPPROTO_UDP)
		return sizeof(struct udphdr);
	return proto == icmp ? icmp_len : 0;
}

/* Makes linear what ip_view_header() and ip_view_l4() read of the packet at `offset`, and not a byte more: a GSO packet may be
 * a list of packets behind headers that they share and that are linear. A deeper pull takes bytes out of the first of them:
 * SCTP arrives broken, or skb_segment() stops the kernel (6.1). */
static __always_inline void ensure_headers(struct __sk_buff *skb, __u32 offset)
{
	const struct ipv6hdr *ip6;
	const struct iphdr *ip;
	struct cursor c;

	ensure_linear(skb, offset + sizeof(*ip));
	c = skb_cursor(skb);
	if (!take(&c, offset))
		return;
	ip = take(&c, sizeof(*ip));
	if (!ip)
		return;
	ip6 = (const void *)ip;
	ensure_linear(skb, ip->version == 4
				   ? offset + sizeof(*ip) +
					     l4_read_len(ip->protocol, IPPROTO_ICMP, IP4_ICMP_QUOTE - sizeof(*ip))
				   : offset + sizeof(*ip6) +
					     l4_read_len(ip6->nexthdr, NEXT_ICMPV6, IP6_ICMP_QUOTE - sizeof(*ip6)));
}

/* One hop: both nodes route, so each takes one from the TTL, as with flannel. The caller made sure that more than one is left.
 * ip: the header, of which 20 bytes are readable. */
static __always_inline void ip_forwarded(void *ip, __u8 version)
{
	if (version == 6)
		((struct ipv6hdr *)ip)->hop_limit--;
	else
		ip4_forwarded(ip);
}

static __always_inline void ip_set_ecn(void *ip, __u8 version, __u8 ecn)
{
	if (version == 6)
		ip6_set_ecn(ip, ecn);
	else
		ip4_set_ecn(ip, ecn);
}

#endif
