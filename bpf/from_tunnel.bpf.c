// SPDX-License-Identifier: GPL-2.0-only
/* tc ingress of weft.1: what the kernel's vxlan socket decapsulated, because the uplink's programs left it to the stack or
 * because it came in elsewhere: the socket listens on every interface and takes every VNI. The same checks of the sender as on
 * the uplink, then on to the host stack. */
#include "lib/deliver.h"
#include "lib/ip.h"
#include "lib/leases.h"
#include "lib/verdict.h"

/* The kernel asks for the family of what it has not told yet. */
static __always_inline bool read_tunnel_key(struct __sk_buff *skb, __u32 *vni, struct weft_ip *sender)
{
	struct bpf_tunnel_key key = {};

	if (!bpf_skb_get_tunnel_key(skb, &key, TUNNEL_KEY_LEN, 0))
		set_ip4(sender, bpf_htonl(key.remote_ipv4)); /* host byte order, for IPv4 only */
	else if (!bpf_skb_get_tunnel_key(skb, &key, TUNNEL_KEY_LEN, BPF_F_TUNINFO_IPV6))
		__builtin_memcpy(sender, key.remote_ipv6, sizeof(*sender));
	else
		return false;
	*vni = key.tunnel_id;
	return true;
}

static __always_inline enum weft_reason from_tunnel(struct __sk_buff *skb)
{
	__u32 stats_index = 0, vni = 0;
	struct weft_ip sender = {};
	enum weft_reason reason;
	struct ip_view v = {};
	struct ethhdr *eth;
	struct cursor c;

	if (!read_tunnel_key(skb, &vni, &sender)) {
		if (skb->mark != RECEIVED_MARK)
			return WEFT_R_NO_TUNNEL_KEY;
		skb->mark = 0;
		return WEFT_R_CHECKED;
	}
	if (vni != cfg.vni)
		return WEFT_R_WRONG_VNI;
	ensure_headers(skb, ETH_HLEN);
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	if (!eth || !is_ip_ethertype(eth->h_proto))
		return WEFT_R_INNER_NOT_IP;
	if (!is_vtep_mac(eth->h_dest))
		return WEFT_R_WRONG_INNER_MAC;
	reason = ip_view_header(&c, eth->h_proto, skb->len - ETH_HLEN, &v);
	if (reason)
		return reason;
	reason = check_sender(&sender, &v.saddr, &stats_index);
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
