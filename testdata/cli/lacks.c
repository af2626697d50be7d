// What no kernel has: `clang -g -O2 -target bpf -c lacks.c -o lacks.o` (Debian clang 14.0.6).
#define SEC(name) __attribute__((section(name), used))
#define KERNEL __attribute__((preserve_access_index))

typedef unsigned long long u64;

struct sched_entity {
	int lod;
} KERNEL;

struct task_struct {
	int pid;
	struct sched_entity se;
	int comm;
} KERNEL;

struct tsk_struct {
	int pid;
} KERNEL;

enum pid_type {
	PIDTYPE_PIDD = 3
};

u64 total;

SEC("tp_btf/sched_switch") int on_switch(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[1];

	total += task->se.lod;
	total += task->comm;
	total += ((struct tsk_struct *)task)->pid;
	total += __builtin_preserve_enum_value(*(enum pid_type *)PIDTYPE_PIDD, 1);
	return 0;
}

SEC("tp_btf/sched_wakeup") int on_wakeup(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	total += task->se.lod + task->pid;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
