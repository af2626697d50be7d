/* 22 members of 12 structs, in one program without maps. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define CORE __attribute__((preserve_access_index))

struct task_struct { int pid, tgid; struct mm_struct *mm; struct signal_struct *signal; char comm[16]; } CORE;
struct mm_struct { unsigned long total_vm; } CORE;
struct signal_struct { short oom_score_adj; } CORE;
struct qstr { const unsigned char *name; } CORE;
struct dentry { struct qstr d_name; struct dentry *d_parent; struct inode *d_inode; } CORE;
struct super_block { unsigned int s_dev; } CORE;
struct inode { unsigned long i_ino; long i_size; struct super_block *i_sb; } CORE;
struct file { struct inode *f_inode; unsigned int f_flags; } CORE;
struct sk_buff { unsigned int len; unsigned short protocol; } CORE;
struct request { unsigned int __data_len; unsigned long __sector; } CORE;
struct nsproxy { struct mnt_namespace *mnt_ns; } CORE;
struct kernfs_node { const char *name; } CORE;
struct irqaction { const char *name; } CORE;

SEC("socket")
int twelve(void *ctx)
{
	long sum = 0;
#define AT(type, member) sum += __builtin_preserve_field_info(((struct type *)0)->member, 0)
	AT(task_struct, pid);
	AT(task_struct, tgid);
	AT(task_struct, mm);
	AT(task_struct, signal);
	AT(task_struct, comm);
	AT(mm_struct, total_vm);
	AT(signal_struct, oom_score_adj);
	AT(dentry, d_name.name);
	AT(dentry, d_parent);
	AT(dentry, d_inode);
	AT(super_block, s_dev);
	AT(inode, i_ino);
	AT(inode, i_size);
	AT(inode, i_sb);
	AT(file, f_inode);
	AT(file, f_flags);
	AT(sk_buff, len);
	AT(sk_buff, protocol);
	AT(request, __data_len);
	AT(nsproxy, mnt_ns);
	AT(kernfs_node, name);
	AT(irqaction, name);
	return sum;
}

char LICENSE[] SEC("license") = "GPL";
