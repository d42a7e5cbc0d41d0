/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef WEFT_ENCAPS_H
#define WEFT_ENCAPS_H

/* How packets reach another node, once for BPF, C++ and tables.
 *
 * Numbers are for ever, as for reasons. A line here and bpf/encap/<label>.h with <label>_write() and <label>_read() are all
 * that an encapsulation is to the programs (bpf/encap/README.md).
 *
 * X(number, NAME, label, backend, overhead)   backend: flannel's BackendType; overhead: bytes before the inner IP header,
 * inside the underlay's MTU. Where a backend has several, the first is that over IPv4
 */
#define WEFT_ENCAPS(X)                                                                                                 \
	X(1, VXLAN, vxlan, "vxlan", 50)                                                                                \
	X(2, DIRECT, direct, "host-gw", 0)                                                                             \
	X(3, UDP, udp, "udp", 28)                                                                                      \
	X(4, IPIP, ipip, "ipip", 20)                                                                                   \
	X(5, VXLAN6, vxlan6, "vxlan", 70)

#define WEFT_ENCAP_ENUM(number, NAME, label, backend, overhead) WEFT_ENCAP_##NAME = number,
enum weft_encap {
	WEFT_ENCAP_NONE = 0, /* not forwarded by the programs */
	WEFT_ENCAPS(WEFT_ENCAP_ENUM)
};
#undef WEFT_ENCAP_ENUM

#define WEFT_ENCAP_OVERHEAD(number, NAME, label, backend, overhead) WEFT_##NAME##_OVERHEAD = overhead,
enum { WEFT_ENCAPS(WEFT_ENCAP_OVERHEAD) };
#undef WEFT_ENCAP_OVERHEAD

#endif
