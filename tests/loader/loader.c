// A stock loader: whatever libbpf makes of an object, and nothing that knows who compiled it.
//
//     loader OBJECT [SECONDS]
//
// Opens, loads and attaches OBJECT, prints "ready", waits until standard input ends (or SECONDS have passed), detaches, and prints what it finds as JSON, one object a
// line: {"program":NAME,"attached":BOOL}, {"map":NAME,"key":HEX,"values":[HEX,…]} with one value for each possible processor in per-CPU maps, and
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

int main(int argc, char **argv)
{
	int timeout = argc > 2 ? atoi(argv[2]) * 1000 : -1, count = 0, error;
	struct bpf_link *links[MAX_PROGRAMS] = {};
	struct pollfd input = { .fd = 0, .events = POLLIN };
	struct bpf_program *program;
	struct bpf_object *object;
	struct bpf_map *map;

	if (argc < 2) {
		fprintf(stderr, "usage: loader OBJECT [SECONDS]\n");
		return 2;
	}
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "%s: libbpf cannot load it: %s\n", argv[1], strerror(errno));
		return 1;
	}
	bpf_object__for_each_program(program, object) {
		if (count == MAX_PROGRAMS)
			break;
		error = attach(program, &links[count]);
		if (error) {
			fprintf(stderr, "%s: cannot attach: %s\n", bpf_program__name(program), strerror(-error));
			return 1;
		}
		printf("{\"program\":\"%s\",\"attached\":%s}\n", bpf_program__name(program),
		       links[count] ? "true" : "false");
		count++;
	}
	puts("ready");
	fflush(stdout);
	poll(&input, 1, timeout);
	for (int i = 0; i < count; i++)
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
