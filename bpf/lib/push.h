/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_PUSH_H
#define WEFT_LIB_PUSH_H

/* To another node: outer headers by the lease's encapsulation, and out. */
#include <linux/if_ether.h>

#include "encap/encaps.h"
#include "lib/verdict.h"

enum {
	/* NO_CSUM_RESET: what is verified stays so. FIXED_GSO: pods' MTU leaves room, so segments need not shrink. */
	PUSH_FLAGS = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET,
};

#define ENCAP_MAX(number, NAME, label, backend, overhead) __u8 label[(overhead) + 1];
/* sizeof: the longest overhead, plus one */
union encap_longest {
	WEFT_ENCAPS(ENCAP_MAX)
};
#undef ENCAP_MAX
enum { MAX_OVERHEAD = sizeof(union encap_longest) - 1 };

/* Would the packet, with its outer headers, be longer than the path takes? A GSO packet is as long as its segments. v must have
 * its header_len when the packet is GSO. */
static __always_inline enum weft_reason fits_path(const struct __sk_buff *skb, const struct ip_view *v, __u32 mtu)
{
	if (!skb->gso_size)
		return skb->len - ETH_HLEN <= mtu ? WEFT_R_NONE : WEFT_R_TOO_BIG;
	/* The outer length field has 16 bits, even if segmentation will rewrite it. */
	/* unreached: a test run takes no packet that long (BIG TCP) */
	if (skb->len - ETH_HLEN > IP_MAX_LEN - MAX_OVERHEAD)
		return WEFT_R_TOO_BIG;
	if (v->proto != IPPROTO_TCP && v->proto != IPPROTO_UDP)
		return WEFT_R_GSO_UNKNOWN;
	return skb->gso_size + v->header_len <= mtu ? WEFT_R_NONE : WEFT_R_TOO_BIG;
}

/* The inner IP header, as far as IPv4's is long, behind room for outer headers, which starts at *outer; NULL if they do not lie
 * in the linear part. */
static __always_inline void *pushed_headers(struct __sk_buff *skb, __u32 overhead, void **outer)
{
	struct cursor c = skb_cursor(skb);

	if (!take(&c, ETH_HLEN))
		return NULL;
	*outer = take(&c, overhead);
	if (!*outer)
		return NULL;
	return take(&c, sizeof(struct iphdr));
}

static __always_inline void count_sent(struct weft_lease_stats *stats, __u32 packets, __u32 bytes)
{
	stats->tx_packets += packets;
	stats->tx_bytes += bytes;
}

/* Of the packet's flow. Connected sockets give it, NICs do, and from_pod has the ports at hand: only where there is none of
 * that does the kernel dissect the packet (65 to 80 ns). Kept beside it, because the uplink's choice of a queue asks too. */
static __always_inline __u32 flow_hash(struct __sk_buff *skb, const struct ip_view *v)
{
	__u32 hash = skb->hash;

	/* unreached: one flow of four billion */
	if (hash)
		return hash;
	if (!v->flow_proto) /* no ports were read: a fragment, or not asked for */
		return bpf_get_hash_recalc(skb);
	hash = ip_flow_hash(v);
	bpf_set_hash(skb, hash);
	return hash;
}

/* Pushes the outer headers of a lease, all but the outer Ethernet addresses, and counts the packet for the lease.
 * Until the push succeeds the packet is untouched. hop: whether this node is a hop of the inner packet's way. */
static __always_inline enum weft_reason push(struct __sk_buff *skb, const struct weft_lease *lease,
					     const struct ip_view *v, bool hop)
{
	struct weft_lease_stats *stats = lease_stats_of(lease->stats_index);
	const __u32 packets = wire_packets(skb);
	struct inner inner = {
		.len = skb->len - ETH_HLEN,
		.hash = lease->encap == WEFT_ENCAP_DIRECT ? 0 : flow_hash(skb, v),
		.ethertype = skb->protocol,
		.tos = v->tos,
	};
	void *outer, *ip;

	/* unreached: an array has all of its elements */
	if (!stats)
		return WEFT_R_PUSH_REFUSED;
	inner.sent = stats->tx_packets;
	switch (lease->encap) {
#define ENCAP_PUSH(number, NAME, label, backend, overhead)                                                             \
	case WEFT_ENCAP_##NAME:                                                                                        \
		if ((overhead) &&                                                                                      \
		    bpf_skb_adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC,                                               \
					PUSH_FLAGS | NAME##_ROOM | BPF_F_ADJ_ROOM_ENCAP_L2((__u64)NAME##_INNER_L2)))   \
			return WEFT_R_PUSH_REFUSED;                                                                    \
		ip = pushed_headers(skb, overhead, &outer);                                                            \
		if (!ip)                                                                                               \
			return WEFT_R_PUSH_FAILED;                                                                     \
		label##_write(outer, lease, &inner);                                                                   \
		break;
		WEFT_ENCAPS(ENCAP_PUSH)
#undef ENCAP_PUSH
	default:
		return WEFT_R_ENCAP_UNSUPPORTED;
	}
	if (hop)
		ip_forwarded(ip, v->version);
	count_sent(stats, packets, skb->len);
	return WEFT_R_NONE;
}

/* Sends a packet with its outer headers to the lease's next hop. The kernel's neighbour table gives the MAC, resolves it when
 * unknown and follows it when it changes, without anybody's help. For packets that came in on a device and so have no route of
 * their own yet. */
static __always_inline enum weft_reason send_to_next_hop(struct __sk_buff *skb, const struct weft_lease *lease)
{
	struct bpf_redir_neigh next_hop = {};

	if (is_ip4(&lease->next_hop)) {
		next_hop.nh_family = ADDRESS_FAMILY_INET;
		next_hop.ipv4_nh = ip4_of(&lease->next_hop);
	} else {
		next_hop.nh_family = ADDRESS_FAMILY_INET6;
		__builtin_memcpy(next_hop.ipv6_nh, &lease->next_hop, sizeof(next_hop.ipv6_nh));
	}
	skb->mark = 0; /* kube-proxy's and portmap's marks mean nothing on the underlay */
	/* unreached: a test run redirects nowhere, so nothing is refused */
	if (bpf_redirect_neigh(lease->ifindex, &next_hop, sizeof(next_hop), 0) != TC_ACT_REDIRECT)
		return WEFT_R_REDIRECT_FAILED;
	return WEFT_R_ENCAP;
}

/* The same for what the stack sends. Such a packet carries the route that led to weft.1, and if it has to wait for the next
 * hop's MAC, the kernel sends it to that route's neighbour afterwards (neigh_update() looks it up again, 6.18): it would be
 * lost. A route look-up of its own replaces that route; not for a packet without outer headers, whose destination leads to
 * weft.1 again: tunnel metadata takes the route's place there, which no neighbour belongs to. */
static __always_inline enum weft_reason send_by_route(struct __sk_buff *skb, const struct weft_lease *lease)
{
	struct bpf_tunnel_key no_route = {};

	skb->mark = 0;
	if (lease->encap == WEFT_ENCAP_DIRECT) {
		/* unreached: a key of known length and flags is taken */
		if (bpf_skb_set_tunnel_key(skb, &no_route, TUNNEL_KEY_LEN, 0))
			return WEFT_R_TUNNEL_KEY_FAILED;
		return send_to_next_hop(skb, lease);
	}
	/* unreached: a test run redirects nowhere, so nothing is refused */
	if (bpf_redirect_neigh(lease->ifindex, NULL, 0, 0) != TC_ACT_REDIRECT)
		return WEFT_R_REDIRECT_FAILED;
	return WEFT_R_ENCAP;
}

/* What the vxlan driver is told, whose way the packet goes on: it knows about path MTU, outer fragmentation, packets that are
 * tunnelled already, and checksums of what an offload has not finished yet. Until it is told the packet is untouched. */
static __always_inline enum weft_reason set_tunnel_key(struct __sk_buff *skb, const struct weft_lease *lease,
						       const struct ip_view *v)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = cfg.vni,
		.tunnel_ttl = OUTER_TTL,
		.tunnel_tos = ecn_outer_tos(v->tos),
	};
	__u32 flags = BPF_F_ZERO_CSUM_TX;

	if (is_ip4(&lease->node)) {
		key.remote_ipv4 = bpf_ntohl(ip4_of(&lease->node)); /* this one struct wants host byte order, for IPv4 */
		key.local_ipv4 = bpf_ntohl(node_ip4());
	} else {
		__builtin_memcpy(key.remote_ipv6, &lease->node, sizeof(key.remote_ipv6));
		write_node_ip6(key.local_ipv6);
		flags = BPF_F_TUNINFO_IPV6; /* and with a checksum, which every receiver takes */
	}
	/* unreached: a short key: by kernels that lack it, where tests/kernels runs the same tables */
	if (bpf_skb_set_tunnel_key(skb, &key, cfg.tunnel_source ? sizeof(key) : TUNNEL_KEY_LEN, flags))
		return WEFT_R_TUNNEL_KEY_FAILED;
	return WEFT_R_NONE;
}

/* Makes the packet the driver's: key and inner Ethernet header. Counts it for the lease, as push() does; the outer header is
 * not there yet and not in the bytes. */
static __always_inline enum weft_reason key_for_driver(struct __sk_buff *skb, const struct weft_lease *lease,
						       const struct ip_view *v, bool hop)
{
	struct weft_lease_stats *stats = lease_stats_of(lease->stats_index);
	enum weft_reason reason = set_tunnel_key(skb, lease, v);
	struct cursor c = skb_cursor(skb);
	struct ethhdr *eth = take(&c, sizeof(*eth));
	void *ip = take(&c, sizeof(struct iphdr));

	if (reason || !stats || !eth || !ip)
		return WEFT_R_TUNNEL_KEY_FAILED;
	if (hop)
		ip_forwarded(ip, v->version);
	__builtin_memcpy(eth->h_dest, &lease->vtep_mac, ETH_ALEN);
	write_vtep_mac(eth->h_source);
	count_sent(stats, wire_packets(skb), skb->len);
	return WEFT_R_NONE;
}

#endif
