/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_CONNTRACK_H
#define WEFT_LIB_CONNTRACK_H

/* Asks the kernel's conntrack whether a flow is NATed on this node. A NATed flow must pass the host stack in both directions:
 * its replies have to be rewritten back there, and a flow of which conntrack sees one direction only turns INVALID, which
 * kube-proxy's rules drop. No entry means no NAT: the stack makes one before a NATed flow's first reply can come.
 */
#include <linux/netfilter/nf_conntrack_common.h>

#include <bpf/bpf_core_read.h>

#include "lib/config.h"
#include "lib/ip.h"

struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

/* Kernels up to now take these 12 bytes; later ones know a longer form as well. */
struct bpf_ct_opts___weft {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

enum { CT_CURRENT_NETNS = -1 };

/* In mainline since 5.18 and marked unstable there, hence weak; weftd sets cfg.ask_conntrack from the kernel's BTF. */
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb_ctx, struct bpf_sock_tuple *bpf_tuple, __u32 tuple__sz,
					 struct bpf_ct_opts___weft *opts, __u32 opts__sz) __ksym __weak;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *xdp_ctx, struct bpf_sock_tuple *bpf_tuple, __u32 tuple__sz,
					 struct bpf_ct_opts___weft *opts, __u32 opts__sz) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *nfct) __ksym __weak;

/* One direction of a flow. */
static __always_inline struct bpf_sock_tuple ct_tuple(const struct weft_ip *saddr, __be16 sport,
						      const struct weft_ip *daddr, __be16 dport)
{
	struct bpf_sock_tuple tuple = {};

	if (is_ip4(saddr)) {
		tuple.ipv4.saddr = ip4_of(saddr);
		tuple.ipv4.daddr = ip4_of(daddr);
		tuple.ipv4.sport = sport;
		tuple.ipv4.dport = dport;
		return tuple;
	}
	__builtin_memcpy(tuple.ipv6.saddr, saddr, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, daddr, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.sport = sport;
	tuple.ipv6.dport = dport;
	return tuple;
}

static __always_inline enum weft_reason ct_judge(struct nf_conn *ct)
{
	unsigned long status;

	if (!ct)
		return WEFT_R_NONE;
	status = ct->status;
	bpf_ct_release(ct);
	return status & IPS_NAT_MASK ? WEFT_R_NATED : WEFT_R_NONE;
}

/* The kernel tells the family by the tuple's size. */
static __always_inline __u32 tuple_size(const struct ip_view *v)
{
	const struct bpf_sock_tuple *tuple = NULL;

	return v->version == 4 ? sizeof(tuple->ipv4) : sizeof(tuple->ipv6);
}

static __always_inline enum weft_reason skb_judge_tuple(struct __sk_buff *skb, struct bpf_sock_tuple *tuple,
							const struct ip_view *v)
{
	struct bpf_ct_opts___weft opts = {.netns_id = CT_CURRENT_NETNS, .l4proto = v->flow_proto};

	return ct_judge(bpf_skb_ct_lookup(skb, tuple, tuple_size(v), &opts, sizeof(opts)));
}

static __always_inline enum weft_reason skb_ask_conntrack(struct __sk_buff *skb, const struct ip_view *v)
{
	struct bpf_sock_tuple tuple;

	/* unreached: by kernels that lack it, where tests/kernels runs the same tables */
	if (!cfg.ask_conntrack)
		return WEFT_R_NO_CONNTRACK;
	tuple = ct_tuple(&v->flow_saddr, v->sport, &v->daddr, v->dport);
	return skb_judge_tuple(skb, &tuple, v);
}

/* For what a pod sends: also, would the answer be taken for another flow's? A pod that used a port through a ClusterIP and now
 * uses it to the same backend directly would get the backend's answers rewritten to the ClusterIP, as long as the old flow's
 * entry lives. The stack gives such a flow another source port, which makes it a NATed one from then on. */
static __always_inline enum weft_reason skb_ask_conntrack_to_send(struct __sk_buff *skb, const struct ip_view *v)
{
	enum weft_reason reason = skb_ask_conntrack(skb, v);
	struct bpf_sock_tuple tuple;

	if (reason || !v->may_open)
		return reason;
	tuple = ct_tuple(&v->daddr, v->dport, &v->flow_saddr, v->sport);
	return skb_judge_tuple(skb, &tuple, v);
}

static __always_inline enum weft_reason xdp_ask_conntrack(struct xdp_md *ctx, const struct ip_view *v)
{
	struct bpf_ct_opts___weft opts = {.netns_id = CT_CURRENT_NETNS, .l4proto = v->flow_proto};
	struct bpf_sock_tuple tuple;

	/* unreached: by kernels that lack it, where tests/kernels runs the same tables */
	if (!cfg.ask_conntrack)
		return WEFT_R_NO_CONNTRACK;
	tuple = ct_tuple(&v->flow_saddr, v->sport, &v->daddr, v->dport);
	return ct_judge(bpf_xdp_ct_lookup(ctx, &tuple, tuple_size(v), &opts, sizeof(opts)));
}

#endif
