// SPDX-License-Identifier: GPL-2.0-only
/* tc ingress of the host end of a pod's veth: what the pod sends. */
#include "lib/conntrack.h"
#include "lib/deliver.h"
#include "lib/pod_checks.h"
#include "lib/push.h"
#include "lib/tags.h"

/* Where an address of the pod network is. Both NULL: unknown. */
struct destination {
	struct weft_endpoint *pod;
	struct weft_lease *lease;
};

static __always_inline struct destination find_destination(const struct weft_ip *daddr)
{
	struct destination dst = {};

	/* This node's own subnet is in no lease; a pod with an address from elsewhere (another IPAM plugin) may still be
	 * here. */
	if (!in_own_subnet(daddr))
		dst.lease = lease_of(daddr);
	/* unreached: behind weft_prefix_len(), which has just found it */
	if (!dst.lease)
		dst.pod = endpoint_of(daddr);
	return dst;
}

/* The host stack forwards what conntrack has to see. self: the sender's entry for the packet's source; NULL: that is another
 * address, which it was let use. */
static __always_inline enum weft_reason judge_flow(struct __sk_buff *skb, const struct suspect *who, struct cursor *c,
						   const struct weft_endpoint *self, struct ip_view *v)
{
	enum weft_reason reason;

	if (!self)
		return WEFT_R_NOT_OWN_SOURCE;
	if (self->flags & WEFT_EP_VIA_STACK)
		return WEFT_R_POD_PREFERS_STACK;
	reason = ip_view_l4(c, v);
	if (reason)
		return reason;
	if (!same_ip(&v->flow_saddr, &v->saddr)) /* an ICMP error about somebody else's flow */
		return WEFT_R_L4_UNTRACKED;
	if (v->proto == IPPROTO_UDP && is_dhcp_answer(v->version, v->sport, v->dport)) {
		reason = refuse(who, WEFT_R_POD_DHCP);
		if (reason)
			return reason;
	}
	return skb_ask_conntrack_to_send(skb, v);
}

static __always_inline enum weft_reason to_local_pod(struct __sk_buff *skb, const struct weft_endpoint *pod,
						     const struct ip_view *v)
{
	struct cursor c = skb_cursor(skb);
	struct ethhdr *eth = take(&c, sizeof(*eth));
	void *ip = take(&c, sizeof(struct iphdr));

	/* unreached: read before, and asked again for the verifier */
	if (!eth || !ip)
		return WEFT_R_TRUNCATED;
	if (pod->flags & WEFT_EP_VIA_STACK)
		return WEFT_R_POD_PREFERS_STACK;
	ip_forwarded(ip, v->version);
	eth_to_pod(eth, pod);
	return hand_to_pod(skb, pod->ifindex, WEFT_R_TO_POD);
}

/* Past the host's stack, but through the vxlan driver. */
static __always_inline enum weft_reason to_driver(struct __sk_buff *skb, const struct weft_lease *lease,
						  const struct ip_view *v)
{
	enum weft_reason reason = key_for_driver(skb, lease, v, true);

	if (reason)
		return reason;
	skb->mark = KEYED_MARK;
	/* unreached: a test run redirects nowhere, so nothing is refused */
	if (bpf_redirect(cfg.vtep_ifindex, 0) != TC_ACT_REDIRECT)
		return WEFT_R_REDIRECT_FAILED;
	return WEFT_R_VIA_DRIVER;
}

static __always_inline enum weft_reason to_remote_pod(struct __sk_buff *skb, const struct weft_lease *lease,
						      const struct ip_view *v)
{
	enum weft_reason reason;

	reason = fits_path(skb, v, lease->mtu);
	if (reason)
		return reason;
	if (lease->flags & WEFT_LEASE_OUTER_CSUM)
		return to_driver(skb, lease, v);
	reason = push(skb, lease, v, true);
	if (reason)
		return reason;
	return send_to_next_hop(skb, lease);
}

/* c: behind the IP header. */
static __always_inline enum weft_reason forward(struct __sk_buff *skb, const struct suspect *who, struct cursor *c,
						const struct weft_endpoint *self, struct ip_view *v)
{
	struct destination dst;
	enum weft_reason reason;

	if (!in_pod_network(&v->daddr))
		return WEFT_R_NOT_POD_NETWORK;
	if (!cfg.fast_path)
		return WEFT_R_FAST_PATH_OFF;
	dst = find_destination(&v->daddr);
	if (!dst.pod && !dst.lease)
		return in_own_subnet(&v->daddr) ? WEFT_R_NO_POD : WEFT_R_NO_LEASE;
	reason = judge_flow(skb, who, c, self, v);
	if (reason)
		return reason;
	if (dst.lease)
		return to_remote_pod(skb, dst.lease, v);
	return to_local_pod(skb, dst.pod, v);
}

static __always_inline bool is_for_stack(enum weft_reason reason)
{
	return reason >= WEFT_R_FIRST_STACK && reason < WEFT_R_FIRST_DROP;
}

static __always_inline enum weft_reason from_pod(struct __sk_buff *skb, struct suspect *who)
{
	struct weft_endpoint *self;
	enum weft_reason reason, refused;
	struct ip_view v = {};
	struct ethhdr *eth;
	struct cursor c;

	reason = untag(skb); /* or it would leave on that VLAN of the uplink */
	if (reason)
		return reason;
	ensure_headers(skb, ETH_HLEN);
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	if (!eth)
		return WEFT_R_TRUNCATED;
	__builtin_memcpy(&who->mac, eth->h_source, sizeof(who->mac));
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return check_arp(skb, who);
	if (!is_ip_ethertype(skb->protocol))
		return WEFT_R_NOT_IP;
	reason = ip_view_header(&c, skb->protocol, skb->len - ETH_HLEN, &v);
	if (reason)
		return reason;
	self = own_endpoint(who, &v.saddr);
	reason = check_pod_source(who, &c, &v, self);
	if (reason)
		return reason;
	reason = forward(skb, who, &c, self, &v);
	if (!is_for_stack(reason))
		return reason;
	refused = refuse_any(who, weft_stack_check(skb));
	return refused ? refused : reason;
}

SEC("tc")
int weft_from_pod(struct __sk_buff *skb)
{
	struct suspect who = pod_suspect(skb);

	return finish_tc(skb, &who, from_pod(skb, &who));
}
