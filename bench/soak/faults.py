# SPDX-License-Identifier: Apache-2.0
"""Every kind of fault, and what it may cost the traffic."""
from collections.abc import Callable
from dataclasses import dataclass

from . import control_faults as control
from . import kernel_faults as kernel


@dataclass(frozen=True)
class Fault:
    name: str
    harm: Callable  # (world, random numbers) -> what was hit; back when it is put right, BenchError if it never is
    # Datagrams may be lost that were sent so long after its beginning. 0: none, ever.
    loss_s: float = 0


# What is done to weftd or etcd costs nothing: the packet path needs neither.
# What is done to the kernel is a gap until weftd has put it right.
FAULTS = {fault.name: fault for fault in (
    Fault("weftd-kill", control.kill_weftd),
    Fault("weftd-restart", control.restart_weftd),
    Fault("weftd-upgrade", control.upgrade_weftd),
    Fault("weftd-frozen", control.frozen_while_compacted),
    Fault("weftd-twice", control.second_weftd),
    Fault("etcd-outage", control.etcd_outage),
    Fault("etcd-outage-restart", control.etcd_outage_and_restart),
    Fault("etcd-member", control.etcd_member_lost),
    Fault("etcd-leader", control.etcd_leader_lost),
    Fault("etcd-frozen", control.etcd_leader_frozen),
    Fault("etcd-slow", control.etcd_slow),
    Fault("lease-deleted", control.lease_deleted, loss_s=2),
    Fault("node-joins-leaves", control.node_joins_and_leaves),
    Fault("cni-churn", control.cni_churn),
    Fault("pod-vanishes", control.pod_vanishes),
    Fault("subnet-env", control.subnet_env_removed),
    Fault("vtep-deleted", kernel.vtep_deleted, loss_s=2),
    Fault("overlay-route", kernel.overlay_route_deleted, loss_s=2),
    Fault("pod-route", kernel.pod_route_deleted, loss_s=2),
    Fault("uplink-program", kernel.program_detached("eth0", "ingress"), loss_s=2),
    Fault("vtep-program", kernel.program_detached("weft.1", "egress"), loss_s=2),
    Fault("pod-program", kernel.pod_program_detached, loss_s=2),
    Fault("xdp-program", kernel.xdp_program_detached, loss_s=2),
    Fault("lease-entry", kernel.map_entry_deleted("leases"), loss_s=2),
    Fault("node-entry", kernel.map_entry_deleted("nodes"), loss_s=2),
    Fault("endpoint-entry", kernel.map_entry_deleted("endpoints"), loss_s=2),
    Fault("pin", kernel.pin_removed),
    Fault("firewall-table", kernel.firewall_flushed),
    Fault("sysctl", kernel.forwarding_off, loss_s=2),
    Fault("neighbours", kernel.neighbours_flushed, loss_s=2),
    Fault("uplink-bounce", kernel.uplink_bounced, loss_s=3),
    Fault("uplink-mtu", kernel.uplink_mtu_changed, loss_s=2),
    Fault("uplink-address", kernel.uplink_address_changed, loss_s=2),
    Fault("uplink-address-unseen", kernel.uplink_address_changed_unseen, loss_s=6),
    Fault("uplink-mac", kernel.uplink_mac_changed, loss_s=2),
)}
