// A field that is copied with a constant size: `clang -g -O2 -target bpf -fdebug-compilation-dir=. -c size.c -o size.o` (Debian clang 14.0.6).
struct task_struct {
	long pid;
	long tgid;
} __attribute__((preserve_access_index));

static long (*probe_read_kernel)(void *to, unsigned size, const void *from) = (void *)113;

__attribute__((section("raw_tp/sched_switch"), used))
int copies(unsigned long long *ctx)
{
	struct task_struct *prev = (void *)ctx[1];
	long pid = 0;

	probe_read_kernel(&pid, sizeof(pid), &prev->pid);
	return pid > 1;
}

__attribute__((section("raw_tp/sched_wakeup"), used))
int asks(unsigned long long *ctx)
{
	struct task_struct *woken = (void *)ctx[0];
	long pid = 0;

	probe_read_kernel(&pid, __builtin_preserve_field_info(woken->pid, 1), &woken->pid);
	return pid > 1;
}

char _license[] __attribute__((section("license"), used)) = "GPL";
