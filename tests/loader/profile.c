// Runs the first program of an object at the clock of every processor, as `profile` asks for.
//
//     profile OBJECT NANOSECONDS    run for a while with a process that is busy, then print how many entries of the map `seen` have
//                                   its process id as their key, and the sum of their counts: {"entries":N,"count":N,"own":N}

#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CPUS = 1024, BUSY_MS = 300 };

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = argc > 2 ? strtoull(argv[2], NULL, 10) : 0,
	};
	int cpus = libbpf_num_possible_cpus(), map;
	struct bpf_link *links[MAX_CPUS] = {};
	unsigned long long entries = 0, count = 0, own = 0, key, next, *values = calloc(MAX_CPUS, 8);
	struct bpf_object *object = argc > 2 ? bpf_object__open(argv[1]) : NULL;
	long end;

	if (!object || bpf_object__load(object)) {
		perror("load");
		return 1;
	}
	for (int cpu = 0; cpu < cpus && cpu < MAX_CPUS; cpu++) {
		int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);

		if (fd >= 0)
			links[cpu] = bpf_program__attach_perf_event(bpf_object__next_program(object, NULL), fd);
	}
	if (!links[0]) {
		perror("attach");
		return 1;
	}
	for (end = now_ms() + BUSY_MS; now_ms() < end;)
		;
	for (int cpu = 0; cpu < cpus && cpu < MAX_CPUS; cpu++)
		bpf_link__destroy(links[cpu]);
	map = bpf_object__find_map_fd_by_name(object, "seen");
	for (void *last = NULL; !bpf_map_get_next_key(map, last, &next); last = &key) {
		key = next;
		if (bpf_map_lookup_elem(map, &key, values))
			continue;
		entries++;
		for (int cpu = 0; cpu < cpus; cpu++) {
			count += values[cpu];
			own += key == (unsigned)getpid() ? values[cpu] : 0;
		}
	}
	printf("{\"entries\":%llu,\"count\":%llu,\"own\":%llu}\n", entries, count, own);
	bpf_object__close(object);
	return 0;
}
