// SPDX-License-Identifier: GPL-2.0-only
/* tc ingress of the host end of a pod's veth: what the pod sends. */
#include "lib/conntrack.h"
#include "lib/deliver.h"
#include "lib/push.h"

/* Where an address of the pod network is. Both NULL: unknown. */
struct destination {
	struct weft_endpoint *pod;
	struct weft_lease *lease;
};

static __always_inline struct destination find_destination(__be32 daddr)
{
	struct destination dst = {};

	/* This node's own subnet is in no lease; a pod with an address from elsewhere (another IPAM plugin) may still be
	 * here. */
	if (!in_net(daddr, &cfg.subnet, &cfg.subnet_mask))
		dst.lease = lease_of(daddr);
	if (!dst.lease)
		dst.pod = endpoint_of(daddr);
	return dst;
}

/* The host stack forwards what conntrack has to see and what is not this pod's to send. */
static __always_inline enum weft_reason judge_flow(struct __sk_buff *skb, struct cursor *c, const struct iphdr *ip,
						   struct ip4_view *v)
{
	const struct weft_endpoint *self = endpoint_of(v->saddr);
	enum weft_reason reason;

	if (!self || self->ifindex != skb->ifindex)
		return WEFT_R_NOT_OWN_SOURCE;
	if (self->flags & WEFT_EP_VIA_STACK)
		return WEFT_R_POD_PREFERS_STACK;
	reason = ip4_view_l4(c, ip, v);
	if (reason)
		return reason;
	if (v->flow_saddr != v->saddr) /* an ICMP error about somebody else's flow */
		return WEFT_R_L4_UNTRACKED;
	return skb_ask_conntrack_to_send(skb, v);
}

static __always_inline enum weft_reason to_local_pod(struct __sk_buff *skb, const struct weft_endpoint *pod)
{
	struct cursor c = skb_cursor(skb);
	struct ethhdr *eth = take(&c, sizeof(*eth));
	struct iphdr *ip = take(&c, sizeof(*ip));

	if (!eth || !ip)
		return WEFT_R_TRUNCATED;
	if (pod->flags & WEFT_EP_VIA_STACK)
		return WEFT_R_POD_PREFERS_STACK;
	ip4_forwarded(ip);
	eth_to_pod(eth, pod);
	return hand_to_pod(skb, pod->ifindex, WEFT_R_TO_POD);
}

static __always_inline enum weft_reason to_remote_pod(struct __sk_buff *skb, const struct weft_lease *lease,
						      const struct ip4_view *v)
{
	enum weft_reason reason;

	reason = fits_path(skb, v, lease->mtu);
	if (reason)
		return reason;
	reason = push(skb, lease, v->tos, true);
	if (reason)
		return reason;
	return send_to_next_hop(skb, lease);
}

static __always_inline enum weft_reason from_pod(struct __sk_buff *skb)
{
	struct destination dst;
	enum weft_reason reason;
	struct ip4_view v = {};
	struct ethhdr *eth;
	struct iphdr *ip;
	struct cursor c;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return WEFT_R_NOT_IPV4;
	/* The tag is beside the packet, not in it: pushed and redirected, the packet would leave on that VLAN of the uplink. */
	if (skb->vlan_present)
		return WEFT_R_VLAN;
	ensure_headers(skb, ETH_HLEN);
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	if (!eth)
		return WEFT_R_TRUNCATED;
	reason = ip4_view_header(&c, skb->len - ETH_HLEN, &v, &ip);
	if (reason)
		return reason;
	if (!in_net(v.daddr, &cfg.network, &cfg.network_mask))
		return WEFT_R_NOT_POD_NETWORK;
	if (!cfg.fast_path)
		return WEFT_R_FAST_PATH_OFF;

	dst = find_destination(v.daddr);
	if (!dst.pod && !dst.lease)
		return in_net(v.daddr, &cfg.subnet, &cfg.subnet_mask) ? WEFT_R_NO_POD : WEFT_R_NO_LEASE;
	reason = judge_flow(skb, &c, ip, &v);
	if (reason)
		return reason;
	if (dst.lease)
		return to_remote_pod(skb, dst.lease, &v);
	return to_local_pod(skb, dst.pod);
}

SEC("tc")
int weft_from_pod(struct __sk_buff *skb)
{
	const __u32 packets = wire_packets(skb);

	return finish_tc(skb, WEFT_HOOK_FROM_POD, from_pod(skb), packets);
}
