/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WEFT_LIB_L4_H
#define WEFT_LIB_L4_H

/* Transport headers. */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>

/* Of ICMP and ICMPv6 alike. Not <linux/icmp.h>: it needs the C library's headers, which BPF has none of. */
struct icmp_head {
	__u8 type;
	__u8 code;
	__be16 check;
	__be32 rest;
};

/* Not in <linux/in.h>, and <linux/in6.h>'s are hidden where the C library has its own (RFC 8200, RFC 4443). */
enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	NEXT_ICMPV6 = 58,
	NEXT_DESTINATION = 60,
	NEXT_MOBILITY = 135,
};

#endif
