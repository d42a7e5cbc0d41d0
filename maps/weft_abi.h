/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef WEFT_ABI_H
#define WEFT_ABI_H

/* The contract between the BPF programs and user space, C for BPF (C11) and for C++: every struct that lies in a map, its
 * size, and the maps' names. Nothing here is declared anywhere else.
 *
 * Rules: fixed-size types only; addresses and MACs as octets in wire order, so that `bpftool map dump` prints them as a
 * person writes them; no implicit padding (maps/abi.hpp proves that for keys); sizes asserted. A layout that changes gets
 * a new WEFT_ABI_VERSION, which is part of every pin's name: an old map is never read as a new one.
 */
#include <linux/types.h>

#include "weft_checks.h"
#include "weft_encaps.h"
#include "weft_reasons.h"

#ifdef __cplusplus
#define WEFT_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define WEFT_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

enum {
	WEFT_ABI_VERSION = 2,
	WEFT_DEFAULT_VNI = 1,
	WEFT_DEFAULT_PORT = 8472, /* Linux's port before IANA's 4789; flannel's default */
	WEFT_DEFAULT_UDP_PORT = 8285,
	/* Of one family, in use at once. A cluster has one SubnetLen, and others only while nodes hold leases from before it
	 * changed; each more is a look-up a packet and a branch of the verifier's search. */
	WEFT_MAX_PREFIX_LENS = 8,
	WEFT_MAX_ENDPOINTS = 65536,
	WEFT_EVENT_SNAP = 96, /* bytes of a packet that an event carries */
	WEFT_MAX_REFUSED = 8192,
	WEFT_MAX_ALLOWED = 16384,
};

/* Where pins live below --bpf-dir. User space composes "<bpf-dir>/" WEFT_PIN_*. */
#define WEFT_PIN_LEASES "leases_v2"
#define WEFT_PIN_NODES "nodes_v2"
#define WEFT_PIN_ENDPOINTS "endpoints_v2"
#define WEFT_PIN_STATE "state_v2"
#define WEFT_PIN_COUNTERS "counters_v2"
#define WEFT_PIN_LEASE_STATS "lease_stats_v2"
#define WEFT_PIN_EVENTS "events_v2"
#define WEFT_PIN_TOLERATED "tolerated_v2"
#define WEFT_PIN_REFUSED "refused_v2"
#define WEFT_PIN_ALLOWED "allowed_v2"
/* The programs that others than weftd attach: the CNI plugin puts this one on each pod's veth. */
#define WEFT_PIN_FROM_POD "from_pod_v2"

/* tc: one filter per hook of ours, always at this place, so that "is it ours?" has one answer. */
enum {
	WEFT_TC_PRIORITY = 1,
	WEFT_TC_HANDLE = 0x77, /* 'w' */
};

/* An address of either family. IPv4 is written as RFC 4291, section 2.5.5.2, maps it: ::ffff:a.b.c.d. One form for both keeps
 * one map and one way through the programs; the longer key costs a look-up nothing that could be measured (docs/adr/0012). */
struct weft_ip {
	__u8 octet[16];
} __attribute__((aligned(8)));
WEFT_STATIC_ASSERT(sizeof(struct weft_ip) == 16, "weft_ip");

/* The families, where there is one thing for each. */
enum weft_family {
	WEFT_IPV4 = 0,
	WEFT_IPV6 = 1,
	WEFT_FAMILIES = 2,
};

/* A prefix as programs compare with it. One that nothing is in has bits in base that mask lacks. */
struct weft_net {
	struct weft_ip base;
	struct weft_ip mask;
};
WEFT_STATIC_ASSERT(sizeof(struct weft_net) == 32, "weft_net");

struct weft_mac {
	__u8 octet[6];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_mac) == 6, "weft_mac");

/* leases: subnet -> how to reach its node. Written by weftd, read by the programs and weftctl.
 * Looked up by masking the destination with each prefix length in use (weft_state), longest first: exactly a longest
 * prefix match, for the price of one hash look-up in a cluster with one SubnetLen. */
struct weft_lease_key {
	struct weft_ip subnet; /* host bits zero */
	__u32 prefix_len;      /* of the address's own family: 24, not 120 */
	__u32 reserved;	       /* zero */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_lease_key) == 24, "weft_lease_key");

struct weft_lease {
	struct weft_ip node;	  /* outer destination and permitted outer source: the lease's PublicIP or PublicIPv6 */
	struct weft_ip next_hop;  /* neighbour on the link: the node itself or a router */
	__u32 ifindex;		  /* link towards the node */
	__u32 stats_index;	  /* slot in lease_stats */
	struct weft_mac vtep_mac; /* inner destination MAC */
	__u16 mtu;		  /* longest inner IP packet, bytes */
	__u8 encap;		  /* enum weft_encap */
	__u8 flags;		  /* enum weft_lease_flags */
	struct weft_mac link_mac; /* its node's, where it may send without a tunnel; zero: not known */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_lease) == 56, "weft_lease");

enum weft_lease_flags {
	/* Its node refuses UDP over IPv6 without a checksum, as RFC 8200 has it and flannel's device is set up: the kernel's
	 * vxlan driver pushes, which can sum up what an offload has not finished yet. */
	WEFT_LEASE_OUTER_CSUM = 1 << 0,
};

/* nodes: every address that may send us tunnel packets. Same writer and readers as leases. */
struct weft_node {
	__u32 leases;	   /* how many leases name this address */
	__u32 stats_index; /* of one of them: packets whose inner source is outside the pod network count there */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_node) == 8, "weft_node");

/* endpoints: a pod's address -> its veth; a pod with two addresses has two. Written by the CNI plugin, kept up by weftd, read
 * by the programs. */
struct weft_endpoint {
	__u32 ifindex; /* host end of the veth */
	struct weft_mac pod_mac;
	struct weft_mac host_mac; /* of the host end: the source of what the pod is handed */
	__u32 flags;		  /* enum weft_endpoint_flags */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_endpoint) == 20, "weft_endpoint");

enum weft_endpoint_flags {
	WEFT_EP_STACK = 1 << 0,	 /* always through the host stack: the plugin was told of limits to come */
	WEFT_EP_SHAPED = 1 << 1, /* weftd saw a qdisc on the veth, which must see every packet */
	WEFT_EP_VIA_STACK = WEFT_EP_STACK | WEFT_EP_SHAPED, /* what the programs ask */
};

/* state: one element, what may change while the programs run. Written by weftd. */
struct weft_prefix_lens {
	__u32 count;
	__u8 len[WEFT_MAX_PREFIX_LENS]; /* those in use among leases, longest first */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_prefix_lens) == 12, "weft_prefix_lens");

struct weft_state {
	struct weft_prefix_lens prefix_lens[WEFT_FAMILIES];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_state) == 24, "weft_state");

/* counters: per CPU, element hook * WEFT_R_COUNT + reason. Packets are counted as they are on the wire: a GSO packet
 * counts its segments. Bytes are those of the packet as it left the program (with the outer header after a push, without
 * it after a pop); a GSO packet's repeated headers are not in them. */
struct weft_counter {
	__u64 packets;
	__u64 bytes;
};
WEFT_STATIC_ASSERT(sizeof(struct weft_counter) == 16, "weft_counter");

/* lease_stats: per CPU, element stats_index. tx: to the lease's node; rx: from it. */
struct weft_lease_stats {
	__u64 tx_packets;
	__u64 tx_bytes;
	__u64 rx_packets;
	__u64 rx_bytes;
};
WEFT_STATIC_ASSERT(sizeof(struct weft_lease_stats) == 32, "weft_lease_stats");

/* tolerated: per CPU, as counters: packets that a check in mode count would have dropped. They went on, and are in counters
 * under what became of them. */

/* refused: per CPU, who sent what was dropped or tolerated. The least recently used go when it is full, and a flood of new
 * senders is summed up under no sender at all (all zero, ifindex 0): the truth about how many is counters'. */
struct weft_refused_key {
	struct weft_ip
		sender; /* outer source, or the source of what has no outer header; zero: a pod, by its ifindex */
	__u32 ifindex;	/* host end of the pod's veth; 0: not from a pod */
	__u8 hook;	/* enum weft_hook */
	__u8 reason;	/* enum weft_reason */
	__u8 tolerated; /* 1: it went on */
	__u8 reserved;	/* zero */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_refused_key) == 24, "weft_refused_key");

struct weft_refused {
	__u64 packets;
	__u64 bytes;
	__u64 last_ns;	     /* CLOCK_MONOTONIC */
	struct weft_mac mac; /* source of the last one's frame */
	__u8 reserved[2];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_refused) == 32, "weft_refused");

/* allowed: a longest prefix match: addresses that a pod may use as a source beside its own. Written by the CNI plugin, as it
 * is told, kept up by weftd. Any: the prefix ends behind the ifindex. */
struct weft_allowed_key {
	__u32 prefix_len; /* bits from ifindex on */
	__u32 ifindex;	  /* host end of the pod's veth */
	struct weft_ip addr;
};
WEFT_STATIC_ASSERT(sizeof(struct weft_allowed_key) == 24, "weft_allowed_key");
enum { WEFT_ALLOWED_ANY = 32 };

/* events: ring buffer of sampled drops. */
struct weft_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 ifindex;
	__u32 length;  /* of the packet */
	__u8 hook;     /* enum weft_hook */
	__u8 reason;   /* enum weft_reason */
	__u16 snapped; /* how many bytes of packet[] are valid */
	__u32 reserved;
	__u8 packet[WEFT_EVENT_SNAP];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_event) == 24 + WEFT_EVENT_SNAP, "weft_event");

/* Constants of one load of the programs: frozen in their read-only data, so the verifier drops what is off. */
struct weft_cfg {
	struct weft_net network[WEFT_FAMILIES]; /* the cluster's pod network */
	struct weft_net subnet[WEFT_FAMILIES];	/* this node's lease */
	struct weft_ip node[WEFT_FAMILIES];	/* this node's outer addresses; ::ffff:0.0.0.0 and ::: none */
	struct weft_mac vtep_mac;		/* weft.1's */
	__u16 port;				/* VXLAN UDP port, host byte order */
	__u32 vni;
	__u32 event_sample_mask; /* a drop makes an event when (random & mask) == 0 */
	__u32 vtep_ifindex;	 /* weft.1 */
	__u16 udp_port;		 /* of encapsulation udp, host byte order */
	__u8 encaps;		 /* those taken from the wire: bit 1 << enum weft_encap */
	__u8 ask_conntrack;	 /* the kernel has bpf_skb_ct_lookup and bpf_xdp_ct_lookup */
	__u8 ip_id_bits;	 /* of an outer IP identification that count; the upper ones are the CPU's */
	__u8 fast_path;		 /* 0: the host stack carries everything, its FORWARD chain sees every packet */
	__u8 pop_other_family;	 /* the kernel can pop an outer header of another family than the inner one */
	__u8 redirect_peer;	 /* the kernel has bpf_redirect_peer */
	__u8 xdp_frags;		 /* XDP may see a part of the packet, and the kernel has bpf_xdp_get_buff_len */
	__u8 tunnel_source;	 /* the kernel's struct bpf_tunnel_key has local addresses */
	__u8 reserved[2];
	__u8 checks[WEFT_R_DROPS]; /* enum weft_check_mode, by reason */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_cfg) == 272, "weft_cfg");

#endif
