/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef WEFT_MAPS_H
#define WEFT_MAPS_H

/* The maps, BPF side only. weftd pins them by the names in weft_abi.h and sizes leases, nodes and
 * lease_stats to the network.
 */
#include <bpf/bpf_helpers.h>

#include "weft_abi.h"

/* Writer: weftd. Readers: every program, weftctl. Lives as long as its pin. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct weft_lease_key);
	__type(value, struct weft_lease);
} weft_leases SEC(".maps");

/* Writer: weftd. Readers: from_wire, xdp_wire, from_tunnel, weftctl. Lives as long as its pin. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct weft_ip);
	__type(value, struct weft_node);
} weft_nodes SEC(".maps");

/* Writer: the CNI plugin (ADD, DEL, GC), weftd (collects what vanished). Readers: programs, weftctl. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_ENDPOINTS);
	__type(key, struct weft_ip);
	__type(value, struct weft_endpoint);
} weft_endpoints SEC(".maps");

/* Writer: weftd. Readers: every program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_state);
} weft_state SEC(".maps");

/* Writers: the programs. Readers: weftctl. Survives restarts of weftd; zeroed by nobody. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_HOOK_COUNT *WEFT_R_COUNT);
	__type(key, __u32);
	__type(value, struct weft_counter);
} weft_counters SEC(".maps");

/* As weft_counters. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_HOOK_COUNT *WEFT_R_COUNT);
	__type(key, __u32);
	__type(value, struct weft_counter);
} weft_tolerated SEC(".maps");

/* Writers: the programs. Reader: weftctl. Lives as long as its pin. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, WEFT_MAX_REFUSED);
	__type(key, struct weft_refused_key);
	__type(value, struct weft_refused);
} weft_refused SEC(".maps");

/* How many new senders each CPU has put into weft_refused of late. Writers and readers: the programs. Not pinned. */
struct weft_newcomers {
	__u64 window;
	__u64 count;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_newcomers);
} weft_newcomers SEC(".maps");

/* Writer: the CNI plugin (ADD, DEL), weftd (collects what vanished). Readers: from_pod, weftctl. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, WEFT_MAX_ALLOWED);
	__type(key, struct weft_allowed_key);
	__type(value, __u8);
} weft_allowed SEC(".maps");

/* Writers: the programs; weftd zeroes a slot that it gives to a new lease. Reader: weftctl. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct weft_lease_stats);
} weft_lease_stats SEC(".maps");

/* Writers: the programs. Reader: whoever watches; unread events are lost, and that is counted by the ring itself. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} weft_events SEC(".maps");

#endif
