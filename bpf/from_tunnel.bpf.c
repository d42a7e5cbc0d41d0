// SPDX-License-Identifier: GPL-2.0-only
/* tc ingress of weft.1: what the kernel's vxlan socket decapsulated, because the uplink's programs left it to the stack or
 * because it came in elsewhere: the socket listens on every interface and takes every VNI. The same checks of the sender as on
 * the uplink, then on to the host stack. */
#include "encap/vxlan_header.h"
#include "lib/carried.h"
#include "lib/deliver.h"
#include "lib/verdict.h"

enum { PACKET_HOST = 0 }; /* <linux/if_packet.h> is no header for BPF */

/* The kernel asks for the family of what it has not told yet. An IPv6 sender that would be IPv4's here, see ip6_view_header(),
 * is nobody. */
static __always_inline bool read_tunnel_key(struct __sk_buff *skb, __u32 *vni, struct weft_ip *sender)
{
	const struct weft_ip nobody = {};
	struct bpf_tunnel_key key = {};

	if (!bpf_skb_get_tunnel_key(skb, &key, TUNNEL_KEY_LEN, 0)) {
		set_ip4(sender, bpf_htonl(key.remote_ipv4)); /* host byte order, for IPv4 only */
	} else {
		if (bpf_skb_get_tunnel_key(skb, &key, TUNNEL_KEY_LEN, BPF_F_TUNINFO_IPV6))
			return false;
		__builtin_memcpy(sender, key.remote_ipv6, sizeof(*sender));
		if (is_ip4(sender))
			*sender = nobody;
	}
	*vni = key.tunnel_id;
	return true;
}

static __always_inline enum weft_reason from_tunnel(struct __sk_buff *skb, struct suspect *who)
{
	__u32 stats_index = 0, vni = 0;
	struct weft_ip sender = {};
	enum weft_reason reason;
	struct ip_view v = {};
	__be16 ethertype = 0;
	struct ethhdr *eth;
	struct cursor c;

	if (!read_tunnel_key(skb, &vni, &sender)) {
		if (skb->mark != RECEIVED_MARK)
			return WEFT_R_NO_TUNNEL_KEY;
		skb->mark = 0;
		return WEFT_R_CHECKED;
	}
	who->key.sender = sender;
	if (vni != cfg.vni) {
		reason = refuse(who, WEFT_R_WRONG_VNI);
		if (reason)
			return reason;
	}
	ensure_headers(skb, ETH_HLEN);
	c = skb_cursor(skb);
	eth = take(&c, sizeof(*eth));
	if (!eth)
		return WEFT_R_TRUNCATED;
	reason = check_inner_ethernet(who, eth, &ethertype);
	if (reason)
		return reason;
	reason = ip_view_header(&c, ethertype, skb->len - ETH_HLEN, &v);
	if (reason)
		return reason;
	reason = check_sender(who, &sender, &v.saddr, &stats_index);
	if (reason)
		return reason;
	if (!endpoint_of(&v.daddr))
		reason = check_other_destination(who, &v.daddr);
	if (!reason && checks(WEFT_R_INNER_DISCOVERY) && weft_is_discovery(skb))
		reason = refuse(who, WEFT_R_INNER_DISCOVERY);
	if (reason)
		return reason;
	/* Or the stack would take it for another host's, where the inner MAC is not checked. */
	if (mode_of(WEFT_R_WRONG_INNER_MAC) != WEFT_CHECK_ENFORCE)
		bpf_skb_change_type(skb, PACKET_HOST);
	return WEFT_R_CHECKED;
}

SEC("tc")
int weft_from_tunnel(struct __sk_buff *skb)
{
	struct suspect who = tc_suspect(skb, WEFT_HOOK_FROM_TUNNEL);

	return finish_tc(skb, &who, from_tunnel(skb, &who));
}
