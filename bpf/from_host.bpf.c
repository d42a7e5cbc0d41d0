// SPDX-License-Identifier: GPL-2.0-only
/* tc egress of weft.1: what the host's stack sends into the pod network, its own packets and those it forwards (NATed flows,
 * ICMP, fragments, everything the fast path left to it). The stack has taken its hop from the TTL and has fitted the packet to
 * weft.1's MTU; what still cannot be pushed here goes to the vxlan driver with a tunnel key. */
#include "lib/push.h"

static __always_inline enum weft_reason push_here(struct __sk_buff *skb, const struct weft_lease *lease,
						  const struct ip4_view *v)
{
	enum weft_reason reason = fits_path(skb, v, lease->mtu);

	if (reason)
		return reason;
	reason = push(skb, lease, v->tos, false);
	if (reason)
		return reason;
	return send_by_route(skb, lease);
}

/* The kernel's own way: it knows about path MTU, outer fragmentation and packets that are tunnelled already. */
static __always_inline enum weft_reason let_kernel_push(struct __sk_buff *skb, const struct weft_lease *lease,
							__u8 inner_tos)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = cfg.vni,
		.tunnel_ttl = OUTER_TTL,
		.tunnel_tos = ecn_outer_tos(inner_tos),
	};
	struct cursor c = skb_cursor(skb);
	struct ethhdr *eth = take(&c, sizeof(*eth));

	if (!eth)
		return WEFT_R_TUNNEL_KEY_FAILED;
	__builtin_memcpy(eth->h_dest, &lease->vtep_mac, ETH_ALEN);
	write_vtep_mac(eth->h_source);
	key.remote_ipv4 = bpf_ntohl(*(const __be32 *)&lease->node); /* this one struct wants host byte order */
	key.local_ipv4 = bpf_ntohl(ip4_of(&cfg.node));
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX))
		return WEFT_R_TUNNEL_KEY_FAILED;
	return WEFT_R_KERNEL_ENCAP;
}

static __always_inline enum weft_reason from_host(struct __sk_buff *skb)
{
	struct weft_lease *lease;
	enum weft_reason reason;
	struct ip4_view v = {};
	struct ethhdr *eth;
	struct iphdr *ip;
	struct cursor c;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return WEFT_R_TUNNEL_NOT_IP;
	ensure_linear(skb, ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr));
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	if (!eth)
		return WEFT_R_TUNNEL_NOT_IP;
	reason = ip4_view_header(&c, skb->len - ETH_HLEN, &v, &ip);
	if (reason)
		return WEFT_R_BAD_IPV4;
	lease = lease_of(v.daddr);
	if (!lease)
		return WEFT_R_NO_ROUTE;
	if (lease->encap == WEFT_ENCAP_NONE)
		return WEFT_R_NO_ROUTE;
	/* Only a GSO packet's header length matters, and such a packet has a plain TCP or UDP header. */
	reason = skb->gso_size && ip4_view_l4(&c, ip, &v) ? WEFT_R_GSO_UNKNOWN : push_here(skb, lease, &v);
	if (reason < WEFT_R_FIRST_STACK || reason >= WEFT_R_FIRST_DROP)
		return reason;
	/* The packet is unchanged. Behind this hook is the vxlan driver, and nothing that speaks anything else. */
	return lease->encap == WEFT_ENCAP_VXLAN ? let_kernel_push(skb, lease, v.tos) : WEFT_R_CANNOT_PUSH;
}

SEC("tc")
int weft_from_host(struct __sk_buff *skb)
{
	const __u32 packets = wire_packets(skb);

	return finish_tc(skb, WEFT_HOOK_FROM_HOST, from_host(skb), packets);
}
