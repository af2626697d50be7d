// Socket filters of an object on real packets, and classic BPF's on the same ones.
//
//     packets compare OBJECT OFFSET…   what the program's map `v` holds after a packet, an element for each offset, and whether a classic filter
//                                      that loads 32 bits there finds the same (and finds nothing else)
//     packets accepts OBJECT           how many bytes of a datagram of 100 bytes the program lets a local socket receive; -1: the datagram is not there
//     packets classic OFFSET           the same of a classic filter that loads 32 bits there and accepts all
//     packets cross OBJECT             how many bytes of a frame of 100 bytes the program lets a packet socket on the loopback device receive
//
// Prints one JSON object a line.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 47113, MARK = 0x1234567, FRAME = 100, WAIT_MS = 300 };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* A frame for the loopback device with a VLAN tag, which the kernel takes off and keeps beside the packet. */
static void make_frame(unsigned char *frame)
{
	static const unsigned char head[] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0x00, 0x60, 0x2a, 0x08, 0x00,
		0x45, 0, 0, FRAME - 18, 0x12, 0x34, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1,
		0x30, 0x39, PORT >> 8, PORT & 255, 0, FRAME - 38, 0, 0,
	};
	unsigned sum = 0;

	for (int i = 0; i < FRAME; i++)
		frame[i] = i < (int)sizeof(head) ? head[i] : i * 7;
	for (int i = 18; i < 38; i += 2)
		sum += frame[i] << 8 | frame[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	frame[28] = sum >> 8;
	frame[29] = sum;
}

static struct sockaddr_ll loopback(void)
{
	return (struct sockaddr_ll){
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex("lo"),
	};
}

static int packet_socket(void)
{
	struct sockaddr_ll lo = loopback();
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || bind(fd, (void *)&lo, sizeof(lo)))
		fail("packet socket");
	return fd;
}

static void send_frame(void)
{
	unsigned char frame[FRAME];
	struct sockaddr_ll lo = loopback();
	int fd = socket(AF_PACKET, SOCK_RAW, 0), mark = MARK;

	make_frame(frame);
	lo.sll_protocol = htons(ETH_P_8021Q);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) ||
	    sendto(fd, frame, FRAME, 0, (void *)&lo, sizeof(lo)) != FRAME)
		fail("send");
	close(fd);
}

/* How many bytes arrive, or -1. */
static long received(int fd)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };
	char bytes[4096];

	return poll(&input, 1, WAIT_MS) == 1 ? recv(fd, bytes, sizeof(bytes), 0) : -1;
}

static struct bpf_object *attach(int fd, const char *path)
{
	struct bpf_object *object = bpf_object__open(path);
	int program;

	if (!object || bpf_object__load(object))
		fail("load");
	program = bpf_program__fd(bpf_object__next_program(object, NULL));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)))
		fail("attach");
	return object;
}

static void attach_classic(int fd, struct sock_filter *code, unsigned short len)
{
	struct sock_fprog program = { .len = len, .filter = code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		fail("attach classic");
}

/* Whether a classic filter finds this value at an offset of the packet that comes in. */
static bool classic_finds(unsigned offset, unsigned value)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, 5),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PORT, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	int fd = packet_socket();
	bool found;

	attach_classic(fd, code, sizeof(code) / sizeof(*code));
	send_frame();
	found = received(fd) > 0;
	close(fd);
	return found;
}

static void compare(const char *path, char **offsets, unsigned count)
{
	int fd = packet_socket(), map;
	struct bpf_object *object = attach(fd, path);

	send_frame();
	if (received(fd) < 0)
		fail("no packet");
	map = bpf_object__find_map_fd_by_name(object, "v");
	for (unsigned i = 0; i < count; i++) {
		unsigned offset = (unsigned)strtol(offsets[i], NULL, 0);
		unsigned long long value = 0;

		if (bpf_map_lookup_elem(map, &i, &value))
			fail("look up");
		printf("{\"offset\":%d,\"value\":%llu,\"same\":%s,\"other\":%s}\n", (int)offset, value,
		       value >> 32 == 0 && classic_finds(offset, value) ? "true" : "false",
		       classic_finds(offset, value ^ 1) ? "true" : "false");
	}
	bpf_object__close(object);
	close(fd);
}

static void accepts(const char *path, unsigned offset)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
	};
	char bytes[FRAME] = "datagram";
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends))
		fail("socketpair");
	if (path)
		attach(ends[1], path);
	else
		attach_classic(ends[1], code, 2);
	if (send(ends[0], bytes, sizeof(bytes), MSG_DONTWAIT) < 0)
		perror("send");
	printf("{\"bytes\":%ld}\n", received(ends[1]));
}

static void cross(const char *path)
{
	int fd = packet_socket();

	attach(fd, path);
	send_frame();
	printf("{\"bytes\":%ld}\n", received(fd));
}

int main(int argc, char **argv)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "compare"))
		compare(argv[2], argv + 3, argc - 3);
	else if (!strcmp(argv[1], "accepts"))
		accepts(argv[2], 0);
	else if (!strcmp(argv[1], "classic"))
		accepts(NULL, (unsigned)strtol(argv[2], NULL, 0));
	else if (!strcmp(argv[1], "cross"))
		cross(argv[2]);
	else
		return 2;
	return 0;
}
