/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_RECEIVE_H
#define WEFT_LIB_RECEIVE_H

/* Judges a packet from the wire, before anything in it is changed: shared by tc and XDP. */
#include "encap/encaps.h"
#include "lib/deliver.h"
#include "lib/leases.h"

/* What popping and delivering need to know once the packet may be taken. */
struct received {
	struct ip_view inner;
	struct weft_endpoint *pod;
	__u32 stats_index;
	__u32 overhead; /* bytes before the inner IP header */
	int ecn;	/* of the inner packet from now on */
	__be16 outer_ethertype;
	__be16 inner_ethertype;
	__u8 encap; /* enum weft_encap */
	bool taken; /* ours, and from who may send it: what the fast path leaves is the host stack's, popped or not */
};

/* From the XDP program to the tc program behind it, as XDP metadata: nothing on the wire can forge it. The same for every
 * packet of a flow, because GRO only joins packets with equal metadata. */
struct popped_mark {
	__u32 magic;
	__u32 ifindex; /* the pod's veth */
};
enum { POPPED_MAGIC = 0x77656674 };

/* The protocol of an encapsulation's outer header; 0: it has none. */
static __always_inline __u8 outer_proto(__u32 encap)
{
	/* unreached: what was read has one of them */
	switch (encap) {
#define ENCAP_PROTO(number, NAME, label, backend, overhead)                                                            \
	case WEFT_ENCAP_##NAME:                                                                                        \
		return NAME##_PROTO;
		WEFT_ENCAPS(ENCAP_PROTO)
#undef ENCAP_PROTO
	default:
		return 0;
	}
}

/* Whether any encapsulation's outer header has this protocol. */
static __always_inline bool is_tunnel_proto(__u8 proto)
{
#define ENCAP_PROTO(number, NAME, label, backend, overhead)                                                            \
	if (NAME##_PROTO != 0 && proto == NAME##_PROTO)                                                                \
		return true;
	WEFT_ENCAPS(ENCAP_PROTO)
#undef ENCAP_PROTO
	return false;
}

/* o->len comes as the frame's, and stays so where the packet is not for us. The kernel's vxlan device takes both of what is odd
 * here: after reassembly, and past the options. */
static __always_inline enum weft_reason outer_view4(struct cursor *c, struct outer *o)
{
	const struct iphdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return WEFT_R_TRUNCATED;
	if (ip->version != 4)
		return WEFT_R_NOT_OVERLAY;
	set_ip4(&o->saddr, ip->saddr);
	set_ip4(&o->daddr, ip->daddr);
	o->proto = ip->protocol;
	o->tos = ip->tos;
	o->to_us = is_this_node(&o->daddr);
	/* unreached: no IPv4 address is the node's IPv6 address */
	if (!o->to_us)
		return WEFT_R_NONE;
	if (!is_tunnel_proto(ip->protocol))
		return WEFT_R_NOT_OVERLAY;
	if (ip->frag_off & bpf_htons(IP4_MF | IP4_OFFSET))
		return WEFT_R_OUTER_FRAGMENT;
	if (ip->ihl != 5)
		return WEFT_R_IP_OPTIONS;
	if (ip4_len(ip, o->len) > o->len)
		return WEFT_R_TRUNCATED;
	o->len = ip4_len(ip, o->len);
	return ip4_header_csum_ok(ip) ? WEFT_R_NONE : WEFT_R_BAD_IP;
}

static __always_inline enum weft_reason outer_view6(struct cursor *c, struct outer *o)
{
	const struct ipv6hdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return WEFT_R_TRUNCATED;
	if (ip->version != 6)
		return WEFT_R_NOT_OVERLAY;
	__builtin_memcpy(&o->saddr, &ip->saddr, sizeof(o->saddr));
	__builtin_memcpy(&o->daddr, &ip->daddr, sizeof(o->daddr));
	if (is_ip4(&o->saddr) || is_ip4(&o->daddr)) /* as in ip6_view_header() */
		return WEFT_R_BAD_IP;
	o->proto = ip->nexthdr;
	o->tos = traffic_class(ip);
	o->to_us = is_this_node(&o->daddr);
	if (!o->to_us)
		return WEFT_R_NONE;
	if (ip->nexthdr == NEXT_FRAGMENT)
		return WEFT_R_OUTER_FRAGMENT;
	if (ip6_len(ip, o->len) > o->len)
		return WEFT_R_TRUNCATED;
	o->len = ip6_len(ip, o->len);
	return extension(ip->nexthdr);
}

/* What is left to the stack because it is no tunnel's, or may be none: the stack would take or route it, and with that anybody
 * on the wire could speak as a pod without any tunnel. */
static __always_inline enum weft_reason check_bare(void *ctx, __u32 ifindex, const struct outer *o)
{
	if (!in_pod_network(&o->saddr))
		return WEFT_R_NONE;
	if (checks(WEFT_R_OWN_SOURCE) && in_own_subnet(&o->saddr))
		return refuse(o->who, WEFT_R_OWN_SOURCE);
	if (in_pod_network(&o->daddr))
		return refuse(o->who, WEFT_R_BARE_SOURCE);
	return check_bare_sender(ctx, ifindex, o->who, &o->saddr);
}

/* Of judge_outer(): the packet is the stack's, and whether it is a tunnel's nobody has seen. */
static __always_inline bool is_maybe_bare(enum weft_reason reason)
{
	return reason == WEFT_R_NOT_OVERLAY || reason == WEFT_R_OUTER_FRAGMENT || reason == WEFT_R_IP_OPTIONS ||
	       reason == WEFT_R_EXT_HEADERS;
}

/* Outer headers: is this overlay traffic for us, and well formed? Leaves the cursor at the inner IP header. */
static __always_inline enum weft_reason judge_outer(struct cursor *c, struct suspect *who, struct outer *o,
						    struct received *r)
{
	const struct ethhdr *eth = take(c, sizeof(*eth));
	enum weft_reason reason;
	struct cursor behind;

	/* unreached: a test run takes no frame without a whole Ethernet header */
	if (!eth)
		return WEFT_R_TRUNCATED;
	__builtin_memcpy(&who->mac, eth->h_source, sizeof(who->mac));
	o->who = who;
	o->ethertype = eth->h_proto;
	o->header = c->pos;
	if (!is_ip_ethertype(o->ethertype))
		return WEFT_R_NOT_IP;
	reason = o->ethertype == bpf_htons(ETH_P_IP) ? outer_view4(c, o) : outer_view6(c, o);
	who->key.sender = o->saddr;
	if (reason)
		return reason;
#define ENCAP_READ(number, NAME, label, backend, bytes)                                                                \
	if (takes(WEFT_ENCAP_##NAME)) {                                                                                \
		behind = *c;                                                                                           \
		reason = label##_read(&behind, o);                                                                     \
		if (reason != WEFT_R_NOT_OVERLAY) {                                                                    \
			*c = behind;                                                                                   \
			r->encap = WEFT_ENCAP_##NAME;                                                                  \
			r->overhead = bytes;                                                                           \
			return reason;                                                                                 \
		}                                                                                                      \
	}
	WEFT_ENCAPS(ENCAP_READ)
#undef ENCAP_READ
	return WEFT_R_NOT_OVERLAY;
}

/* Everything but conntrack, which each hook asks in its own way. ctx: the program's. frame_len: bytes from the outer Ethernet
 * header on. */
static __always_inline enum weft_reason judge_received(void *ctx, __u32 ifindex, struct cursor *c, __u32 frame_len,
						       struct suspect *who, struct received *r)
{
	struct outer o = {.len = frame_len - ETH_HLEN};
	enum weft_reason reason, refused;

	reason = judge_outer(c, who, &o, r);
	if (is_maybe_bare(reason)) {
		refused = check_bare(ctx, ifindex, &o);
		return refused ? refused : reason;
	}
	if (reason)
		return reason;
	if (o.len < r->overhead)
		return WEFT_R_TRUNCATED;
	r->outer_ethertype = o.ethertype;
	r->inner_ethertype = o.inner_ethertype;
	reason = ip_view_header(c, o.inner_ethertype, o.len - r->overhead, &r->inner);
	if (reason)
		return reason;
	if (r->encap == WEFT_ENCAP_DIRECT)
		reason = check_direct_sender(ctx, ifindex, who, &r->inner.saddr, &r->stats_index);
	else
		reason = check_sender(who, &o.saddr, &r->inner.saddr, &r->stats_index);
	if (reason)
		return reason;
	r->ecn = ecn_decapsulated(o.tos, r->inner.tos);
	if (r->ecn == ECN_INVALID)
		return WEFT_R_BAD_ECN;
	r->pod = endpoint_of(&r->inner.daddr);
	if (!r->pod) {
		reason = check_other_destination(who, &r->inner.daddr);
		r->taken = !reason;
		return reason ? reason : WEFT_R_NO_POD;
	}
	r->taken = true;
	if (!cfg.fast_path)
		return WEFT_R_FAST_PATH_OFF;
	if (r->pod->flags & WEFT_EP_VIA_STACK)
		return WEFT_R_POD_PREFERS_STACK;
	reason = ip_view_l4(c, &r->inner);
	if (reason)
		return reason;
	/* What the pod sends there leaves by the stack (not_pod_network): conntrack must see both directions or neither. */
	if (!in_pod_network(&r->inner.flow_saddr))
		return WEFT_R_SOURCE_OUTSIDE;
	return WEFT_R_NONE;
}

static __always_inline void count_received(__u32 stats_index, __u32 packets, __u32 bytes)
{
	struct weft_lease_stats *stats = lease_stats_of(stats_index);

	/* unreached: an array has all of its elements */
	if (!stats)
		return;
	stats->rx_packets += packets;
	stats->rx_bytes += bytes;
}

/* What changes in the inner packet on its way into the pod. ip: its header, of which 20 bytes are readable. */
static __always_inline void rewrite_received(struct ethhdr *eth, void *ip, const struct received *r)
{
	if (r->ecn != (r->inner.tos & ECN_MASK))
		ip_set_ecn(ip, r->inner.version, r->ecn);
	ip_forwarded(ip, r->inner.version);
	eth_to_pod(eth, r->pod);
	eth->h_proto = r->inner_ethertype; /* not there yet where the inner packet has no Ethernet header */
}

#endif
