// A process whose like the machine has not, to be looked at: its values differ from each other and from those of its neighbours.
//
//     subject FOLDER
//
// It lives in a pid namespace of its own and has a second thread, "subject/two". Prints the process's id outside of the namespace once that thread is
// ready. The thread then waits for bytes on standard input: at `d` it writes a file in FOLDER out to the disk; at any other it does nothing.
// Both answer by a byte. When the input ends, the process exits with 3.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, ANON = 3000 * PAGE, SHARED = 2000 * PAGE, FILE_PAGES = 1000 * PAGE, LOCKED = 7 * PAGE };

static const char *folder;

static void *map(int flags, int fd, size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | (fd < 0 ? PROT_WRITE : 0), flags, fd, 0);

	if (memory == MAP_FAILED)
		_exit(90);
	for (size_t i = 0; i < size; i += PAGE) {
		if (fd < 0)
			memory[i] = 1;
		else
			(void)*(volatile char *)(memory + i);
	}
	return memory;
}

static int file(const char *name, size_t size)
{
	char path[4096], page[PAGE] = { 1 };

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (size_t i = 0; i < size; i += PAGE) {
		if (write(fd, page, PAGE) != PAGE)
			_exit(91);
	}
	return fd;
}

/* Runs for so many milliseconds. */
static void burn(long ms)
{
	struct timespec spent;

	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	while (spent.tv_sec * 1000 + spent.tv_nsec / 1000000 < ms);
}

static void *second(void *ready)
{
	char byte;

	prctl(PR_SET_NAME, "subject/two");
	if (setpriority(PRIO_PROCESS, 0, 7))
		_exit(92);
	burn(400);
	if (write(*(int *)ready, "r", 1) != 1)
		_exit(93);
	while (read(0, &byte, 1) == 1) {
		if (byte == 'd')
			fdatasync(file("disk", 256 * PAGE));
		if (write(1, &byte, 1) != 1)
			_exit(94);
	}
	_exit(3);
}

int main(int argc, char **argv)
{
	int ready[2], status;
	char byte;

	folder = argc > 1 ? argv[1] : ".";
	if (pipe(ready) || unshare(CLONE_NEWPID))
		return 95;
	pid_t child = fork();
	if (child) {
		close(0);
		if (read(ready[0], &byte, 1) != 1)
			return 96;
		printf("%d\n", child);
		fflush(stdout);
		waitpid(child, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
	}
	map(MAP_PRIVATE | MAP_ANONYMOUS, -1, ANON);
	map(MAP_SHARED | MAP_ANONYMOUS, -1, SHARED);
	map(MAP_PRIVATE, file("mapped", FILE_PAGES), FILE_PAGES);
	mlock(map(MAP_PRIVATE | MAP_ANONYMOUS, -1, LOCKED), LOCKED);
	munmap(map(MAP_PRIVATE | MAP_ANONYMOUS, -1, ANON), ANON);
	pthread_t thread;
	pthread_create(&thread, NULL, second, &ready[1]);
	pthread_join(thread, NULL);
	return 98;
}
