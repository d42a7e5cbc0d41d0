/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_DELIVER_H
#define WEFT_LIB_DELIVER_H

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include "lib/config.h"

/* From from_wire to from_tunnel, in the packet's mark: the sender is checked, and there is no tunnel metadata. The mark of what
 * arrives on weft.1 is not anybody's yet. */
enum { RECEIVED_MARK = 0x77656674 };

/* From from_pod to from_host, likewise: the tunnel key is set, the vxlan driver is to have the packet. */
enum { KEYED_MARK = 0x77656b79 };

static __always_inline void eth_to_pod(struct ethhdr *eth, const struct weft_endpoint *pod)
{
	__builtin_memcpy(eth->h_dest, &pod->pod_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, &pod->host_mac, ETH_ALEN);
}

/* Hands the packet into the pod's namespace: without another trip through the softirq where the kernel can (5.10), else out of
 * the veth's own end, on which weft has no program in that direction. */
static __always_inline enum weft_reason hand_to_pod(struct __sk_buff *skb, __u32 ifindex, enum weft_reason delivered)
{
	skb->mark = 0; /* survives the change of namespace otherwise */
	/* unreached: no redirect is refused in a test run; without redirect_peer: tests/kernels */
	if ((cfg.redirect_peer ? bpf_redirect_peer(ifindex, 0) : bpf_redirect(ifindex, 0)) != TC_ACT_REDIRECT)
		return WEFT_R_REDIRECT_FAILED;
	return delivered;
}

#endif
