// SPDX-License-Identifier: GPL-2.0-only
/* tc ingress of weft.1: what the kernel's vxlan socket decapsulated, because the uplink's programs left it to the stack or
 * because it came in elsewhere: the socket listens on every interface and takes every VNI. The same checks of the sender as on
 * the uplink, then on to the host stack. */
#include "lib/deliver.h"
#include "lib/ipv4.h"
#include "lib/leases.h"
#include "lib/verdict.h"

static __always_inline enum weft_reason from_tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {};
	enum weft_reason reason;
	struct ip4_view v = {};
	__u32 stats_index = 0;
	struct ethhdr *eth;
	struct iphdr *ip;
	struct cursor c;

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		if (skb->mark != RECEIVED_MARK)
			return WEFT_R_NO_TUNNEL_KEY;
		skb->mark = 0;
		return WEFT_R_CHECKED;
	}
	if (key.tunnel_id != cfg.vni)
		return WEFT_R_WRONG_VNI;
	ensure_linear(skb, ETH_HLEN + sizeof(struct iphdr));
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	if (!eth || eth->h_proto != bpf_htons(ETH_P_IP))
		return WEFT_R_INNER_NOT_IPV4;
	if (!is_vtep_mac(eth->h_dest))
		return WEFT_R_WRONG_INNER_MAC;
	reason = ip4_view_header(&c, skb->len - ETH_HLEN, &v, &ip);
	if (reason)
		return reason;
	reason = check_sender(bpf_htonl(key.remote_ipv4), v.saddr, &stats_index);
	if (reason)
		return reason;
	return WEFT_R_CHECKED;
}

SEC("tc")
int weft_from_tunnel(struct __sk_buff *skb)
{
	const __u32 packets = wire_packets(skb);

	return finish_tc(skb, WEFT_HOOK_FROM_TUNNEL, from_tunnel(skb), packets);
}
