//! The kernel's helper functions that programs call: one table.

macro_rules! helpers {
    ($($name:ident = $id:literal, $symbol:literal, $args:literal, $since:literal;)*) => {
        /// A helper function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Helper { $(#[doc = concat!("`", $symbol, "`")] $name,)* }

        impl Helper {
            /// Every helper.
            pub const ALL: &'static [Helper] = &[$(Helper::$name),*];

            /// Its number in the kernel's ABI.
            pub fn id(self) -> i32 {
                match self { $(Helper::$name => $id),* }
            }

            /// Its name.
            pub fn symbol(self) -> &'static str {
                match self { $(Helper::$name => $symbol),* }
            }

            /// How many arguments it takes.
            pub fn arity(self) -> usize {
                match self { $(Helper::$name => $args),* }
            }

            /// The first kernel release that has it.
            pub fn since(self) -> &'static str {
                match self { $(Helper::$name => $since),* }
            }
        }
    };
}

// include/uapi/linux/bpf.h: enum bpf_func_id
helpers! {
    MapLookup = 1, "bpf_map_lookup_elem", 2, "3.19";
    MapUpdate = 2, "bpf_map_update_elem", 4, "3.19";
    MapDelete = 3, "bpf_map_delete_elem", 2, "3.19";
    KtimeGetNs = 5, "bpf_ktime_get_ns", 0, "4.1";
    GetPrandomU32 = 7, "bpf_get_prandom_u32", 0, "4.1";
    GetSmpProcessorId = 8, "bpf_get_smp_processor_id", 0, "4.1";
    GetCurrentPidTgid = 14, "bpf_get_current_pid_tgid", 0, "4.2";
    GetCurrentUidGid = 15, "bpf_get_current_uid_gid", 0, "4.2";
    GetCurrentComm = 16, "bpf_get_current_comm", 2, "4.2";
    SkbLoadBytes = 26, "bpf_skb_load_bytes", 4, "4.5";
    GetCurrentTask = 35, "bpf_get_current_task", 0, "4.8";
    SkbLoadBytesRelative = 68, "bpf_skb_load_bytes_relative", 5, "4.18";
    GetCurrentCgroupId = 80, "bpf_get_current_cgroup_id", 0, "4.18";
    ProbeReadUser = 112, "bpf_probe_read_user", 3, "5.5";
    ProbeReadKernel = 113, "bpf_probe_read_kernel", 3, "5.5";
    ProbeReadUserStr = 114, "bpf_probe_read_user_str", 3, "5.5";
    ProbeReadKernelStr = 115, "bpf_probe_read_kernel_str", 3, "5.5";
    KtimeGetBootNs = 125, "bpf_ktime_get_boot_ns", 0, "5.8";
    RingbufOutput = 130, "bpf_ringbuf_output", 4, "5.8";
    RingbufReserve = 131, "bpf_ringbuf_reserve", 3, "5.8";
    RingbufSubmit = 132, "bpf_ringbuf_submit", 2, "5.8";
    RingbufDiscard = 133, "bpf_ringbuf_discard", 2, "5.8";
    ForEachMapElem = 164, "bpf_for_each_map_elem", 4, "5.13";
}
