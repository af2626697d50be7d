// What clang makes of kernel structs: `clang -g -O2 -target bpf -c clang.c -o clang.o` (Debian clang 14.0.6).
#define SEC(name) __attribute__((section(name), used))
#define KERNEL __attribute__((preserve_access_index))

typedef unsigned int u32;
typedef unsigned long long u64;

struct task_struct {
	int pid, tgid;
	char comm[16];
	struct task_struct *real_parent;
	unsigned int sched_reset_on_fork : 1;
} KERNEL;

struct task_struct___old {
	long state;
} KERNEL;

struct {
	int (*type)[1];
	int (*max_entries)[100];
	u32 *key;
	u64 *value;
} counts SEC(".maps");

static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;

const volatile u32 wanted = 5;
u64 total;

static __attribute__((noinline)) int parent(struct task_struct *task)
{
	return task->tgid + task->real_parent->pid;
}

SEC("tp_btf/sched_switch") int on_switch(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[1];
	struct task_struct___old *old = (void *)task;
	u32 key = parent(task);
	u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (key == wanted)
		total++;
	if (__builtin_preserve_field_info(old->state, 2))
		total += old->state;
	if (value)
		*value += task->comm[3];
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
