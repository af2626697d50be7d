// Every kind of question that clang can ask, with flavors, nested and anonymous members, arrays, enums, twins and types of modules: an object for the tests of relocation.

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define KERNEL __attribute__((preserve_access_index))

struct list_head { struct list_head *next, *prev; } KERNEL;
struct pid { unsigned int level; } KERNEL;
struct sched_entity { __u64 sum_exec_runtime; unsigned int on_rq; } KERNEL;
struct thread_info { unsigned long flags; } KERNEL;
struct task_struct {
	struct thread_info thread_info;
	unsigned int __state;
	struct sched_entity se;
	int pid, tgid;
	struct task_struct *real_parent;
	unsigned in_execve : 1;
	unsigned in_iowait : 1;
	unsigned sched_reset_on_fork : 1;
	char comm[16];
	__u64 start_boottime;
	int recent_used_cpu;
} KERNEL;
struct task_struct___old { volatile long state; __u64 real_start_time; } KERNEL;
struct task_struct___none { int no_such_member; } KERNEL;
struct no_such_struct { int member; } KERNEL;

struct qstr { union { struct { __u32 hash, len; }; __u64 hash_len; }; const unsigned char *name; } KERNEL;
struct dentry { struct qstr d_name; struct dentry *d_parent; unsigned char d_iname[32]; } KERNEL;
struct sock_common {
	union { struct { __be32 skc_daddr, skc_rcv_saddr; }; };
	unsigned short skc_family;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
} KERNEL;
struct sock { struct sock_common __sk_common; __u16 sk_protocol; __u16 sk_type; } KERNEL;
struct sk_buff { unsigned int len; __u8 pkt_type : 3, ignore_df : 1; __be16 protocol; } KERNEL;
struct cred { struct { int val; } uid; } KERNEL;
struct mm_struct { struct { unsigned long total_vm; unsigned long start_code; }; } KERNEL;
struct upid { int nr; } KERNEL;
struct pid___numbers { unsigned int level; struct upid numbers[1]; } KERNEL;
struct irq_info { short irq; } KERNEL;
struct nf_conn { unsigned long status; } KERNEL;
typedef struct { int counter; } atomic_t;
typedef unsigned int gfp_t;
typedef __u64 (*btf_trace_sched_switch)(void *, int, struct task_struct *, struct task_struct *);

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID, PIDTYPE_PGID, PIDTYPE_SID };
enum skb_drop_reason___x { SKB_DROP_REASON_TCP_CSUM = 4, SKB_DROP_REASON_NOT_SPECIFIED = 2 };
enum no_such_enum { NO_SUCH_VALUE };

// What the compiler may not know the outcome of.
__u64 sum;
#define ADD(value) sum += (__u64)(value)

#define TYPES(type)                     \
	ADD(bpf_core_type_exists(type));    \
	ADD(bpf_core_type_size(type));      \
	ADD(bpf_core_type_id_kernel(type)); \
	ADD(bpf_core_type_id_local(type))

#define FIELD(ptr, field)                  \
	if (bpf_core_field_exists(ptr->field)) \
		ADD(bpf_core_field_size(ptr->field) + bpf_core_field_offset(ptr->field))

#define VALUE(type, value)                          \
	if (bpf_core_enum_value_exists(enum type, value)) \
		ADD(bpf_core_enum_value(enum type, value))

SEC("raw_tp/sched_switch")
int kinds(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[1];
	struct task_struct___old *old = (void *)task;
	struct task_struct___none *none = (void *)task;
	struct dentry *dentry = (void *)ctx->args[2];
	struct sk_buff *skb = (void *)ctx->args[2];
	struct sock *sk = (void *)ctx->args[2];
	struct mm_struct *mm = (void *)ctx->args[2];
	struct pid___numbers *pid = (void *)ctx->args[2];
	struct nf_conn *conn = (void *)ctx->args[2];

	TYPES(struct task_struct);
	TYPES(struct task_struct___old);
	TYPES(struct no_such_struct);
	TYPES(enum pid_type);
	TYPES(atomic_t);
	TYPES(gfp_t);
	ADD(bpf_core_type_exists(btf_trace_sched_switch));
#if __clang_major__ >= 15
	ADD(bpf_core_type_matches(struct pid));
	ADD(bpf_core_type_matches(struct list_head));
	ADD(bpf_core_type_matches(struct no_such_struct));
#endif

	FIELD(task, __state);
	FIELD(task, comm);
	FIELD(task, comm[3]);
	FIELD(task, thread_info.flags);
	FIELD(task, se.sum_exec_runtime);
	FIELD(task, se.on_rq);
	FIELD(task, recent_used_cpu);
	FIELD(old, state);
	FIELD(old, real_start_time);
	FIELD(none, no_such_member);
	FIELD(dentry, d_name.hash);
	FIELD(dentry, d_name.name);
	FIELD(dentry, d_iname[7]);
	FIELD(sk, __sk_common.skc_daddr);
	FIELD(sk, sk_protocol);
	FIELD(mm, total_vm);
	FIELD(pid, numbers[0].nr);
	FIELD(conn, status);

	ADD(BPF_CORE_READ(task, real_parent, real_parent, tgid));
	ADD(BPF_CORE_READ(dentry, d_parent, d_name.len));
	if (bpf_core_field_exists(task->in_iowait)) {
		ADD(BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait));
		ADD(BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork));
	}
	if (bpf_core_field_exists(sk->__sk_common.skc_reuse)) {
		ADD(BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuse));
		ADD(BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_reuseport));
	}
	if (bpf_core_field_exists(skb->pkt_type))
		ADD(BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type));
	if (bpf_core_field_exists(sk->sk_protocol))
		ADD(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol));

	VALUE(pid_type, PIDTYPE_TGID);
	VALUE(pid_type, PIDTYPE_SID);
	VALUE(skb_drop_reason___x, SKB_DROP_REASON_TCP_CSUM);
	VALUE(skb_drop_reason___x, SKB_DROP_REASON_NOT_SPECIFIED);
	VALUE(no_such_enum, NO_SUCH_VALUE);
	return sum;
}

char LICENSE[] SEC("license") = "GPL";
