// SPDX-License-Identifier: GPL-2.0-only
/* Every tc program in one object, sharing the maps and one set of constants. Included, not linked: the
 * static linker of libbpf 1.1 cannot merge two objects that name the same kernel function (bpf_ct_release). */
#include "from_pod.bpf.c"
#include "from_host.bpf.c"
#include "from_wire.bpf.c"
#include "from_tunnel.bpf.c"

char LICENSE[] SEC("license") = "GPL";
