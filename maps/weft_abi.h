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

#include "weft_encaps.h"
#include "weft_reasons.h"

#ifdef __cplusplus
#define WEFT_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define WEFT_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

enum {
	WEFT_ABI_VERSION = 1,
	WEFT_DEFAULT_VNI = 1,
	WEFT_DEFAULT_PORT = 8472, /* Linux's port before IANA's 4789; flannel's default */
	WEFT_DEFAULT_UDP_PORT = 8285,
	WEFT_MAX_PREFIX_LENS = 33,
	WEFT_MAX_ENDPOINTS = 65536,
	WEFT_EVENT_SNAP = 96, /* bytes of a packet that an event carries */
};

/* Where pins live below --bpf-dir. User space composes "<bpf-dir>/" WEFT_PIN_*. */
#define WEFT_PIN_LEASES "leases_v1"
#define WEFT_PIN_NODES "nodes_v1"
#define WEFT_PIN_ENDPOINTS "endpoints_v1"
#define WEFT_PIN_STATE "state_v1"
#define WEFT_PIN_COUNTERS "counters_v1"
#define WEFT_PIN_LEASE_STATS "lease_stats_v1"
#define WEFT_PIN_EVENTS "events_v1"
/* The programs that others than weftd attach: the CNI plugin puts this one on each pod's veth. */
#define WEFT_PIN_FROM_POD "from_pod_v1"

/* tc: one filter per hook of ours, always at this place, so that "is it ours?" has one answer. */
enum {
	WEFT_TC_PRIORITY = 1,
	WEFT_TC_HANDLE = 0x77, /* 'w' */
};

struct weft_ip4 {
	__u8 octet[4];
} __attribute__((aligned(4)));
WEFT_STATIC_ASSERT(sizeof(struct weft_ip4) == 4, "weft_ip4");

struct weft_mac {
	__u8 octet[6];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_mac) == 6, "weft_mac");

/* leases: subnet -> how to reach its node. Written by weftd, read by the programs and weftctl.
 * Looked up by masking the destination with each prefix length in use (weft_state), longest first: exactly a longest
 * prefix match, for the price of one hash look-up in a cluster with one SubnetLen. */
struct weft_lease_key {
	struct weft_ip4 subnet; /* host bits zero */
	__u32 prefix_len;
};
WEFT_STATIC_ASSERT(sizeof(struct weft_lease_key) == 8, "weft_lease_key");

struct weft_lease {
	struct weft_ip4 node;	  /* outer destination and permitted outer source: the lease's PublicIP */
	struct weft_ip4 next_hop; /* neighbour on the link: the node itself or a router */
	__u32 ifindex;		  /* link towards the node */
	__u32 stats_index;	  /* slot in lease_stats */
	struct weft_mac vtep_mac; /* inner destination MAC */
	__u16 mtu;		  /* longest inner IP packet, bytes */
	__u8 encap;		  /* enum weft_encap */
	__u8 reserved[3];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_lease) == 28, "weft_lease");

/* nodes: every address that may send us tunnel packets. Same writer and readers as leases. */
struct weft_node {
	__u32 leases;	   /* how many leases name this address */
	__u32 stats_index; /* of one of them: packets whose inner source is outside the pod network count there */
};
WEFT_STATIC_ASSERT(sizeof(struct weft_node) == 8, "weft_node");

/* endpoints: a pod's address -> its veth. Written by the CNI plugin, kept up by weftd, read by the programs. */
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
struct weft_state {
	__u32 prefix_len_count;
	__u8 prefix_lens[WEFT_MAX_PREFIX_LENS]; /* those in use among leases, longest first */
	__u8 reserved[3];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_state) == 40, "weft_state");

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
	struct weft_ip4 network; /* the cluster's pod network */
	struct weft_ip4 network_mask;
	struct weft_ip4 subnet; /* this node's lease */
	struct weft_ip4 subnet_mask;
	struct weft_ip4 node;	  /* this node's outer address */
	struct weft_mac vtep_mac; /* weft.1's */
	__u16 port;		  /* VXLAN UDP port, host byte order */
	__u32 vni;
	__u32 event_sample_mask; /* a drop makes an event when (random & mask) == 0 */
	__u32 vtep_ifindex;	 /* weft.1 */
	__u16 udp_port;		 /* of encapsulation udp, host byte order */
	__u8 encaps;		 /* those taken from the wire: bit 1 << enum weft_encap */
	__u8 ask_conntrack;	 /* the kernel has bpf_skb_ct_lookup and bpf_xdp_ct_lookup */
	__u8 ip_id_bits;	 /* of an outer IP identification that count; the upper ones are the CPU's */
	__u8 fast_path;		 /* 0: the host stack carries everything, its FORWARD chain sees every packet */
	__u8 reserved[2];
};
WEFT_STATIC_ASSERT(sizeof(struct weft_cfg) == 48, "weft_cfg");

#endif
