// A stock loader: whatever libbpf makes of an object, and nothing that knows who compiled it.
//
//     loader OBJECT              attach what can be attached, print "ready", wait until standard input ends, detach
//     loader OBJECT PROGRAM [RODATA]    run PROGRAM once in the kernel, by BPF_PROG_TEST_RUN on processor 0, with RODATA (in hex) as the constants
//
// Then prints what it finds as JSON, one object a line: {"program":NAME,"attached":BOOL}, {"map":NAME,"key":HEX,"values":[HEX,…]} with one value for each possible processor in per-CPU maps, and
// {"ring":NAME,"record":HEX}. Programs that libbpf cannot attach by itself are loaded and left alone.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PROGRAMS = 256 };

static void hex(const void *data, size_t size)
{
	const unsigned char *bytes = data;

	putchar('"');
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
	putchar('"');
}

static int on_record(void *ring, void *data, size_t size)
{
	printf("{\"ring\":\"%s\",\"record\":", (const char *)ring);
	hex(data, size);
	puts("}");
	return 0;
}

static void drain(struct bpf_map *map)
{
	struct ring_buffer *ring = ring_buffer__new(bpf_map__fd(map), on_record, (void *)bpf_map__name(map), NULL);

	if (ring)
		ring_buffer__consume(ring);
	ring_buffer__free(ring);
}

static bool is_per_cpu(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static void dump(struct bpf_map *map)
{
	size_t key_size = bpf_map__key_size(map), size = bpf_map__value_size(map);
	size_t stride = (size + 7) / 8 * 8;
	int count = is_per_cpu(bpf_map__type(map)) ? libbpf_num_possible_cpus() : 1;
	char *key = calloc(2, key_size), *values = calloc(count, stride), *last = NULL;

	while (!bpf_map_get_next_key(bpf_map__fd(map), last, key)) {
		last = key + key_size;
		memcpy(last, key, key_size);
		if (bpf_map_lookup_elem(bpf_map__fd(map), key, values))
			continue;
		printf("{\"map\":\"%s\",\"key\":", bpf_map__name(map));
		hex(key, key_size);
		printf(",\"values\":[");
		for (int i = 0; i < count; i++) {
			printf(i ? "," : "");
			hex(values + i * stride, size);
		}
		puts("]}");
	}
	free(key);
	free(values);
}

/* Attaches what libbpf can attach by the section's name alone. */
static int attach(struct bpf_program *program, struct bpf_link **link)
{
	enum bpf_prog_type type = bpf_program__type(program);
	const char *section = bpf_program__section_name(program);

	*link = NULL;
	if (type == BPF_PROG_TYPE_PERF_EVENT || (type == BPF_PROG_TYPE_RAW_TRACEPOINT && !strchr(section, '/')))
		return 0;
	*link = bpf_program__attach(program);
	return *link ? 0 : -errno;
}

/* Sets the constants from hex. */
static int set_rodata(struct bpf_object *object, const char *digits)
{
	size_t size = strlen(digits) / 2;
	unsigned char *bytes = calloc(1, size + 1);
	struct bpf_map *map;
	int error = -ENOENT;

	for (size_t i = 0; i < size; i++)
		sscanf(digits + 2 * i, "%2hhx", &bytes[i]);
	bpf_object__for_each_map(map, object) {
		if (strstr(bpf_map__name(map), ".rodata"))
			error = bpf_map__set_initial_value(map, bytes, size);
	}
	free(bytes);
	return error;
}

static int run_once(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	__u64 args[12] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args),
		    .flags = BPF_F_TEST_RUN_ON_CPU);

	return program ? bpf_prog_test_run_opts(bpf_program__fd(program), &opts) : -ENOENT;
}

static int attach_all(struct bpf_object *object, struct bpf_link **links)
{
	struct bpf_program *program;
	int count = 0, error;

	bpf_object__for_each_program(program, object) {
		if (count == MAX_PROGRAMS)
			break;
		error = attach(program, &links[count]);
		if (error) {
			fprintf(stderr, "%s: cannot attach: %s\n", bpf_program__name(program), strerror(-error));
			return error;
		}
		printf("{\"program\":\"%s\",\"attached\":%s}\n", bpf_program__name(program),
		       links[count] ? "true" : "false");
		count++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_link *links[MAX_PROGRAMS] = {};
	struct pollfd input = { .fd = 0, .events = POLLIN };
	struct bpf_object *object;
	struct bpf_map *map;
	int error;

	if (argc < 2) {
		fprintf(stderr, "usage: loader OBJECT [PROGRAM [RODATA]]\n");
		return 2;
	}
	object = bpf_object__open_file(argv[1], NULL);
	error = object ? 0 : -errno;
	if (!error && argc > 3)
		error = set_rodata(object, argv[3]);
	if (!error)
		error = bpf_object__load(object);
	if (error) {
		fprintf(stderr, "%s: libbpf cannot load it: %s\n", argv[1], strerror(-error));
		return 1;
	}
	if (argc > 2) {
		error = run_once(object, argv[2]);
		if (error)
			fprintf(stderr, "%s: cannot run: %s\n", argv[2], strerror(-error));
	} else {
		error = attach_all(object, links);
		puts("ready");
		fflush(stdout);
		if (!error)
			poll(&input, 1, -1);
	}
	if (error)
		return 1;
	for (int i = 0; i < MAX_PROGRAMS; i++)
		bpf_link__destroy(links[i]);
	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
			drain(map);
		else
			dump(map);
	}
	bpf_object__close(object);
	return 0;
}
