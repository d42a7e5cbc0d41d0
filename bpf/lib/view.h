/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_VIEW_H
#define WEFT_LIB_VIEW_H

#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "weft_abi.h"
#include "weft_reasons.h"

enum { IP_MAX_LEN = 65535 };

/* Of ip_view, whose frame is the larger part of the programs' stack. Without a branch. */
static __always_inline __u16 clamped_len(__u32 len)
{
	return len | -(len >> 16);
}

/* What the programs keep of an IP packet: values, so that they outlive the packet pointers. */
struct ip_view {
	struct weft_ip saddr;
	struct weft_ip daddr;
	/* Whose NAT decides about this packet: its own flow, or for an ICMP error the flow of the packet it quotes, in the
	 * direction in which the error goes: from here to daddr. Only after ip_view_l4(), like what follows, to header_len. */
	struct weft_ip flow_saddr;
	__be16 sport;
	__be16 dport;
	__u8 flow_proto;
	bool may_open;	  /* a flow may begin with this packet: TCP SYN, any UDP */
	__u16 header_len; /* of network and transport header, bytes */
	__u16 len;	  /* of the packet by its own word, 0xfffe or 0xffff: that or longer */
	__u16 ip4_odd;	  /* of an IPv4 header with options or of a fragment, for ip4_oddity() */
	__u8 version;
	__u8 proto; /* of the transport header: IPPROTO_* */
	__u8 tos;   /* or traffic class */
	__u8 hops;  /* TTL or hop limit */
};

#endif
