// Types of every kind, as compilers describe them: DWARF and BTF of this file are what the readers of kernels start from.
typedef int pid_t;

struct list_head {
	struct list_head *next, *prev;
};

enum reason { NONE, ONE, MANY = 1000, MINUS = -1 };

union inner {
	long whole;
	struct {
		short low, high;
	};
	char bytes[2][4];
};

struct bits {
	unsigned int a : 3, b : 5;
	int c : 9;
	unsigned long long d : 40;
};

struct outer {
	union inner inner;
	struct bits bits;
	enum reason reason;
	volatile const char *name;
	struct {
		int deep;
		union {
			int deeper;
			float real;
		};
	};
};

struct declared;

struct task_struct {
	unsigned int state;
	pid_t pid, tgid;
	struct list_head tasks;
	struct outer outer[3];
	struct declared *declared;
	int (*call)(struct task_struct *task, const char *name, ...);
	_Bool flag;
	char comm[16];
	int rest[];
};

struct task_struct task;
struct outer outer;

int on_switch(struct task_struct *prev, pid_t pid)
{
	struct task_struct *next = prev->tasks.next ? prev : 0;
	return next ? next->pid + pid : task.tgid;
}
