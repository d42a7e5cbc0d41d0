/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef WEFT_REASONS_H
#define WEFT_REASONS_H

/* Why a packet left a weft program, once for BPF, C++, tables and metrics.
 *
 * Numbers are for ever: append, never renumber, never reuse. The class decides the verdict:
 *   FORWARD  the fast path sent it on
 *   STACK    handed to the host stack (or the next program), whole and unchanged unless the text says otherwise
 *   DROP     discarded
 * 1..39 FORWARD, 40..119 STACK, 120..199 DROP. 0 is never counted: a 0 in the counters is a bug in a program.
 *
 * X(number, NAME, CLASS, label, text)   label: [a-z0-9_]+, the name in --json and metrics
 */
#define WEFT_REASONS(X)                                                                                                \
	X(1, TO_POD, FORWARD, "to_pod", "handed to a pod on this node")                                                \
	X(2, ENCAP, FORWARD, "encap", "outer header pushed, sent to the lease's node")                                 \
	X(3, DECAP_TO_POD, FORWARD, "decap_to_pod", "outer header popped, handed to a pod on this node")               \
	X(4, XDP_POPPED, FORWARD, "xdp_popped", "outer header popped in XDP, on to GRO and delivery in tc")            \
	X(5, DECAP_TO_HOST, FORWARD, "decap_to_host", "taken from another node, on to the host stack through weft.1")  \
	X(6, VIA_DRIVER, FORWARD, "via_driver", "tunnel key set, sent through the kernel's vxlan driver")              \
                                                                                                                       \
	X(40, NOT_IP, STACK, "not_ip", "neither IPv4 nor IPv6 (ARP, ...)")                                             \
	X(41, NOT_OVERLAY, STACK, "not_overlay", "not a tunnel packet for this node")                                  \
	X(42, NOT_POD_NETWORK, STACK, "not_pod_network", "destination is outside the pod network")                     \
	X(43, IP_OPTIONS, STACK, "ip_options", "IPv4 header with options")                                             \
	X(44, FRAGMENT, STACK, "fragment", "an inner fragment")                                                        \
	X(45, OUTER_FRAGMENT, STACK, "outer_fragment", "a fragment of a tunnel packet, the kernel reassembles")        \
	X(46, TTL_EXPIRING, STACK, "ttl_expiring", "TTL or hop limit of 1 or 0, the kernel answers")                   \
	X(47, L4_UNTRACKED, STACK, "l4_untracked", "neither TCP nor UDP nor an error about either: NAT is unknown")    \
	X(48, NATED, STACK, "nated", "conntrack has NAT on this flow")                                                 \
	X(49, TOO_BIG, STACK, "too_big", "longer than the path takes, the kernel fragments or answers")                \
	X(50, NO_POD, STACK, "no_pod", "destination is ours by subnet, but no such pod is known")                      \
	X(51, NO_LEASE, STACK, "no_lease", "destination is in the pod network, but no lease covers it")                \
	X(52, NOT_OWN_SOURCE, STACK, "not_own_source", "source address is not the sending pod's")                      \
	X(53, GSO_UNKNOWN, STACK, "gso_unknown", "a GSO packet of a kind that cannot be tunnelled here")               \
	X(54, PUSH_REFUSED, STACK, "push_refused", "the kernel refused to grow the packet (already a tunnel's)")       \
	X(55, KERNEL_ENCAP, STACK, "kernel_encap", "tunnel key set, the kernel's vxlan device encapsulates")           \
	X(56, ENCAP_UNSUPPORTED, STACK, "encap_unsupported", "the lease's encapsulation is not handled here")          \
	X(57, INNER_NOT_IP, STACK, "inner_not_ip", "a tunnel packet that carries neither IPv4 nor IPv6")               \
	X(58, CHECKED, STACK, "checked", "decapsulated by the kernel, sender checked, on to the host stack")           \
	X(59, NO_METADATA, STACK, "no_metadata", "the driver has no room for XDP metadata, popped in tc instead")      \
	X(60, TRUNCATED, STACK, "truncated", "headers do not fit the packet, the kernel judges it")                    \
	X(61, NO_CONNTRACK, STACK, "no_conntrack", "this kernel's conntrack cannot be asked, so NAT is possible")      \
	X(62, POP_REFUSED, STACK, "pop_refused", "the kernel refused to shrink the packet, it decapsulates itself")    \
	X(63, POD_PREFERS_STACK, STACK, "pod_prefers_stack", "a qdisc on the pod's veth must see every packet")        \
	X(64, UDP_GSO, STACK, "udp_gso", "tunnelled UDP that still is to be segmented, the kernel decapsulates")       \
	X(65, VLAN, STACK, "vlan", "carries a VLAN tag, the kernel knows whose it is")                                 \
	X(66, SOURCE_OUTSIDE, STACK, "source_outside",                                                                 \
	  "source is outside the pod network, where pods' answers go by stack")                                        \
	X(67, FAST_PATH_OFF, STACK, "fast_path_off",                                                                   \
	  "weftd runs with --fast-path=off: the stack's rules see every packet")                                       \
	X(68, EXT_HEADERS, STACK, "ext_headers", "IPv6 header followed by an extension header")                        \
	X(69, OTHER_FAMILY, STACK, "other_family", "tunnelled in the other family, this kernel cannot pop that in tc") \
                                                                                                                       \
	X(120, BAD_VXLAN, DROP, "bad_vxlan", "VXLAN header with other flags or reserved bits than VNI-valid")          \
	X(121, WRONG_VNI, DROP, "wrong_vni", "VXLAN network identifier is not ours")                                   \
	X(122, WRONG_INNER_MAC, DROP, "wrong_inner_mac", "inner destination MAC is not this node's VtepMAC")           \
	X(123, UNKNOWN_SENDER, DROP, "unknown_sender", "outer source address holds no lease")                          \
	X(124, SPOOFED_SOURCE, DROP, "spoofed_source", "inner source belongs to the pod network, not to the sender")   \
	X(125, BAD_IP, DROP, "bad_ip", "malformed IP header or length")                                                \
	X(126, BAD_ECN, DROP, "bad_ecn", "outer CE on a flow that is not ECN-capable (RFC 6040)")                      \
	X(127, NO_ROUTE, DROP, "no_route", "in the pod network, held by no lease, nowhere to send it")                 \
	X(128, POP_FAILED, DROP, "pop_failed",                                                                         \
	  "shrunk, but not to be handed on: headers that refuse to be rewritten, or XDP did not see its VLAN tag")     \
	X(129, REDIRECT_FAILED, DROP, "redirect_failed", "the kernel refused the redirect")                            \
	X(130, PUSH_FAILED, DROP, "push_failed", "the packet was grown, but its headers could not be written")         \
	X(131, NO_TUNNEL_KEY, DROP, "no_tunnel_key", "a packet on the vxlan device without tunnel metadata")           \
	X(132, TUNNEL_NOT_IP, DROP, "tunnel_not_ip", "sent by the host into the pod network, but not IP")              \
	X(133, TUNNEL_KEY_FAILED, DROP, "tunnel_key_failed", "the kernel refused the tunnel key")                      \
	X(134, CANNOT_PUSH, DROP, "cannot_push", "sent by the host, too long or odd for its lease's encapsulation")    \
	X(135, LINK_SCOPE, DROP, "link_scope",                                                                         \
	  "sent by the host to weft.1's link, where nobody is (router and multicast discovery)")                       \
	X(136, OWN_SOURCE, DROP, "own_source", "from the wire with a source that is this node's or one of its pods'")  \
	X(137, MARTIAN_SOURCE, DROP, "martian_source",                                                                 \
	  "inner source that nobody has: unspecified, loopback, link-local, multicast or broadcast")                   \
	X(138, MARTIAN_DESTINATION, DROP, "martian_destination",                                                       \
	  "inner destination that is no other node's to send to: the same, or multicast")                              \
	X(139, FOREIGN_SOURCE, DROP, "foreign_source", "inner source outside the pod network: a node that routes")     \
	X(140, BARE_SOURCE, DROP, "bare_source", "from a pod to a pod by its addresses, but not through a tunnel")     \
	X(141, WRONG_LINK_MAC, DROP, "wrong_link_mac",                                                                 \
	  "without a tunnel, and not from the MAC of the node that holds the source's lease")                          \
	X(142, INNER_OTHER, DROP, "inner_other", "a tunnel packet that carries ARP, a VLAN tag, or another protocol")  \
	X(143, NESTED_TAGS, DROP, "nested_tags", "priority tags (VLAN 0) around each other")                           \
	X(144, POD_SOURCE, DROP, "pod_source", "from a pod with a source address that is not its own")                 \
	X(145, POD_MAC, DROP, "pod_mac", "from a pod with a source MAC that is not its own")                           \
	X(146, POD_ARP, DROP, "pod_arp", "from a pod: ARP that speaks for an address or MAC that is not its own")      \
	X(147, POD_ND, DROP, "pod_nd", "from a pod: a neighbour advertisement for an address that is not its own")     \
	X(148, POD_ROUTER, DROP, "pod_router", "from a pod: a router advertisement or a redirect")                     \
	X(149, POD_DHCP, DROP, "pod_dhcp", "from a pod: a DHCP server's answer")                                       \
	X(150, POD_TUNNEL, DROP, "pod_tunnel", "from a pod: a tunnel packet to a node")                                \
	X(151, POD_HEADERS, DROP, "pod_headers", "from a pod: IPv6 headers that hide what the packet carries")         \
	X(152, OTHER_DESTINATION, DROP, "other_destination",                                                           \
	  "inner destination that is neither this node's nor a pod's here: the node as a relay")                       \
	X(153, INNER_DISCOVERY, DROP, "inner_discovery",                                                               \
	  "from another node: IPv6 router or neighbour discovery, or headers that hide whether it is")

enum weft_class {
	WEFT_CLASS_NONE = 0,
	WEFT_CLASS_FORWARD,
	WEFT_CLASS_STACK,
	WEFT_CLASS_DROP,
};

#define WEFT_REASON_ENUM(number, name, class, label, text) WEFT_R_##name = number,
enum weft_reason {
	WEFT_R_NONE = 0,
	WEFT_REASONS(WEFT_REASON_ENUM) WEFT_R_COUNT = 200, /* size of a program's block of counters */
};
#undef WEFT_REASON_ENUM

enum {
	WEFT_R_FIRST_STACK = 40,
	WEFT_R_FIRST_DROP = 120,
	WEFT_R_DROPS = 80, /* how many numbers they have: up to WEFT_R_COUNT */
};

/* The programs that count. Numbers are for ever, as for reasons. X(number, NAME, label, text) */
#define WEFT_HOOKS(X)                                                                                                  \
	X(0, FROM_POD, "from_pod", "tc ingress of a pod's veth")                                                       \
	X(1, FROM_HOST, "from_host", "tc egress of weft.1: the host sends to pods elsewhere")                          \
	X(2, FROM_WIRE, "from_wire", "tc ingress of the uplink")                                                       \
	X(3, XDP_WIRE, "xdp_wire", "XDP on the uplink")                                                                \
	X(4, FROM_TUNNEL, "from_tunnel", "tc ingress of weft.1: what the kernel decapsulated")

#define WEFT_HOOK_ENUM(number, name, label, text) WEFT_HOOK_##name = number,
enum weft_hook {
	WEFT_HOOKS(WEFT_HOOK_ENUM) WEFT_HOOK_COUNT = 8, /* room for more without a new map layout */
};
#undef WEFT_HOOK_ENUM

#endif
