//! What a socket filter sees of a packet: the fields of `struct __sk_buff`, classic BPF's ancillary loads, and what it may not ask.
//!
//! Three tables. The kernel keeps the layout of `struct __sk_buff` for ever and translates every access to its own `struct sk_buff` as the program
//! is loaded, so that nothing here depends on the target.

use super::hir::{Builtin, SkbRead};

/// A field of `struct __sk_buff` (v6.12 include/uapi/linux/bpf.h) that a socket filter may read (v6.12 net/core/filter.c:
/// `sk_filter_is_valid_access`, `bpf_skb_is_valid_access`). All of them are `u32`.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// In bytes from the start of the struct.
    pub offset: i16,
    /// The first kernel release that has it.
    pub since: &'static str,
}

macro_rules! fields {
    ($($name:ident $offset:literal $since:literal)*) => {
        &[$(Field { name: stringify!($name), offset: $offset, since: $since }),*]
    };
}

/// The fields that a socket filter may read.
pub static FIELDS: &[Field] = fields! {
    len 0 "4.1"
    pkt_type 4 "4.1"
    mark 8 "4.1"
    queue_mapping 12 "4.1"
    protocol 16 "4.1"
    vlan_present 20 "4.1"
    vlan_tci 24 "4.1"
    vlan_proto 28 "4.1"
    priority 32 "4.1"
    ingress_ifindex 36 "4.2"
    ifindex 40 "4.2"
    tc_index 44 "4.2"
    hash 68 "4.3"
    napi_id 84 "4.12"
    gso_segs 164 "5.1"
    gso_size 176 "5.7"
};

/// Fields of `struct __sk_buff` that a socket filter may not read, or not as a number, and why; then what to write instead, if anything.
pub(super) const REFUSED: &[(&str, &str, &str)] = &[
    ("cb", "it is scratch memory of those who hand the packet on", ""),
    ("tc_classid", "it belongs to traffic control", ""),
    ("data", OTHERS_POINTERS, LOADS),
    ("data_end", OTHERS_POINTERS, LOADS),
    ("data_meta", OTHERS_POINTERS, LOADS),
    ("family", OTHERS_SOCKETS, ""),
    ("remote_ip4", OTHERS_SOCKETS, LOADS),
    ("local_ip4", OTHERS_SOCKETS, LOADS),
    ("remote_ip6", OTHERS_SOCKETS, LOADS),
    ("local_ip6", OTHERS_SOCKETS, LOADS),
    ("remote_port", OTHERS_SOCKETS, LOADS),
    ("local_port", OTHERS_SOCKETS, LOADS),
    ("flow_keys", "only flow dissectors may read it", LOADS),
    ("tstamp", "only traffic control and cgroup programs may read it", "`nsecs` is the time"),
    ("wire_len", "only traffic control may read it", "`skb.len` is the length"),
    ("sk", "it is a pointer, and no program of this language follows it", ""),
    ("tstamp_type", "only traffic control may read it", ""),
    ("hwtstamp", "only traffic control and cgroup programs may read it", "`nsecs` is the time"),
];

const OTHERS_POINTERS: &str = "only traffic control, cgroup and XDP programs may follow it";
const OTHERS_SOCKETS: &str = "only `sk_skb` programs may read it";
const LOADS: &str =
    "read the packet by `load_u8(offset)`, `load_u16(offset)` or `load_u32(offset)`";

/// Where ancillary loads begin (`include/uapi/linux/filter.h: SKF_AD_OFF`); from there to -1 nothing is in the packet.
pub(super) const AD_OFF: i128 = -0x1000;
/// Where offsets from the network header begin (`SKF_NET_OFF`).
pub const NET_OFF: i64 = -0x10_0000;
/// Where offsets from the link layer's header begin (`SKF_LL_OFF`).
pub const LL_OFF: i64 = -0x20_0000;

/// What an ancillary load gives (v6.12 net/core/filter.c: `convert_bpf_extensions`).
pub(super) enum Gives {
    /// A field, read in this way.
    Field(&'static str, SkbRead),
    /// A builtin value.
    Builtin(Builtin),
    /// Nothing that eBPF can express: why, and what to write instead.
    Nothing(&'static str, &'static str),
}

/// Classic BPF's ancillary loads (`include/uapi/linux/filter.h`): how far from [`AD_OFF`], the name there without `SKF_AD_`, what it gives.
pub(super) const ANCILLARY: &[(i128, &str, Gives)] = &[
    (0, "PROTOCOL", Gives::Field("protocol", SkbRead::Host)),
    (4, "PKTTYPE", Gives::Field("pkt_type", SkbRead::Plain)),
    // Classic BPF ends where a packet has no device.
    (8, "IFINDEX", Gives::Field("ifindex", SkbRead::OrEnd)),
    (12, "NLATTR", Gives::Nothing(REGISTERS, "")),
    (16, "NLATTR_NEST", Gives::Nothing(REGISTERS, "")),
    (20, "MARK", Gives::Field("mark", SkbRead::Plain)),
    (24, "QUEUE", Gives::Field("queue_mapping", SkbRead::Plain)),
    (28, "HATYPE", Gives::Nothing("`struct __sk_buff` does not show the type of the device", "")),
    (32, "RXHASH", Gives::Field("hash", SkbRead::Plain)),
    (36, "CPU", Gives::Builtin(Builtin::Cpu)),
    (
        40,
        "ALU_XOR_X",
        Gives::Nothing("it is an operation on the registers A and X", "write `a ^ b`"),
    ),
    (44, "VLAN_TAG", Gives::Field("vlan_tci", SkbRead::Plain)),
    (48, "VLAN_TAG_PRESENT", Gives::Field("vlan_present", SkbRead::Plain)),
    (
        52,
        "PAY_OFFSET",
        Gives::Nothing(
            "the kernel's dissector of packets, which finds the payload, cannot be called by socket filters",
            "follow the headers by loads: the IP header has `(load_u8(-0x100000) & 15) * 4` bytes",
        ),
    ),
    (56, "RANDOM", Gives::Builtin(Builtin::Rand)),
    (60, "VLAN_TPID", Gives::Field("vlan_proto", SkbRead::Host)),
];

const REGISTERS: &str = "it searches for a netlink attribute that the registers A and X name, by a function that eBPF cannot call";

/// Names of the language that need helpers which socket filters may not call (v5.10 net/core/filter.c: `sk_filter_func_proto`, `bpf_sk_base_func_proto`,
/// and kernel/bpf/helpers.c: `bpf_base_func_proto`): the name, the helper.
const UNCALLABLE: &[(&str, &str)] = &[
    ("pid", "bpf_get_current_pid_tgid"),
    ("tid", "bpf_get_current_pid_tgid"),
    ("uid", "bpf_get_current_uid_gid"),
    ("gid", "bpf_get_current_uid_gid"),
    ("comm", "bpf_get_current_comm"),
    ("curtask", "bpf_get_current_task"),
    ("cgroup", "bpf_get_current_cgroup_id"),
    ("str", "bpf_probe_read_user_str"),
    ("kstr", "bpf_probe_read_kernel_str"),
    ("fetch_u8", MIRRORS_NEED),
    ("fetch_u16", MIRRORS_NEED),
    ("fetch_u32", MIRRORS_NEED),
    ("fetch_u64", MIRRORS_NEED),
    ("fetch_ptr", MIRRORS_NEED),
];

/// What reading a kernel struct needs.
pub(super) const MIRRORS_NEED: &str = "bpf_probe_read_kernel";

/// The helper that a name of the language needs, where socket filters may not call it.
pub(super) fn uncallable(name: &str) -> Option<&'static str> {
    UNCALLABLE.iter().find(|(known, _)| *known == name).map(|(_, helper)| *helper)
}

/// The field of that name.
pub(super) fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}
