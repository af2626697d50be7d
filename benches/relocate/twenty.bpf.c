/* Twenty accesses to kernel structs, in one program without maps. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define CORE __attribute__((preserve_access_index))

struct qstr { const unsigned char *name; unsigned int len; } CORE;
struct dentry { struct qstr d_name; struct dentry *d_parent; struct inode *d_inode; } CORE;
struct inode { unsigned short i_mode; unsigned long i_ino; long i_size; struct super_block *i_sb; } CORE;
struct super_block { unsigned int s_dev; } CORE;
struct path { struct dentry *dentry; } CORE;
struct file { struct inode *f_inode; struct path f_path; unsigned int f_flags; } CORE;
struct mm_struct { unsigned long total_vm; } CORE;
struct signal_struct { short oom_score_adj; } CORE;
struct task_struct {
	int pid, tgid, prio;
	unsigned int flags;
	int exit_code;
	struct task_struct *real_parent, *group_leader;
	struct mm_struct *mm;
	struct signal_struct *signal;
	char comm[16];
} CORE;

SEC("socket")
int twenty(void *ctx)
{
	long sum = 0;
#define AT(type, member) sum += __builtin_preserve_field_info(((struct type *)0)->member, 0)
	AT(task_struct, pid);
	AT(task_struct, tgid);
	AT(task_struct, prio);
	AT(task_struct, flags);
	AT(task_struct, exit_code);
	AT(task_struct, real_parent);
	AT(task_struct, group_leader);
	AT(task_struct, mm);
	AT(task_struct, signal);
	AT(task_struct, comm);
	AT(mm_struct, total_vm);
	AT(signal_struct, oom_score_adj);
	AT(file, f_inode);
	AT(file, f_path.dentry);
	AT(file, f_flags);
	AT(dentry, d_name.name);
	AT(dentry, d_parent);
	AT(inode, i_ino);
	AT(inode, i_sb);
	AT(super_block, s_dev);
	return sum;
}

char LICENSE[] SEC("license") = "GPL";
