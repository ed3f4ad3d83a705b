/* SPDX-License-Identifier: ISC */
#include "clock.h"
#include "config.h"
#include "nap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { SEED_MS = 20 * 1000 }; /* of patience with a kernel that has just booted */

/* musl asks this for the kernel's code that tells the time without a system call. To find it and
 * to map its pages takes as long as twenty such calls; who takes a message makes three. */
void *__vdsosym(const char *version, const char *name);

void *
__vdsosym(const char *version, const char *name)
{
	(void)version;
	(void)name;
	return NULL;
}

int64_t
clock_ms(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts))
		clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The first 64 bits of the kernel's random UUID for this boot; 0 where there is no /proc. */
static uint64_t
read_boot_id(void)
{
	char text[36];
	uint64_t id = 0;
	unsigned digits = 0;
	int fd = openat(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof text);
	close(fd);
	for (ssize_t i = 0; i < n && digits < 16; i++) {
		int digit = str_hex(text[i]);
		if (digit < 0)
			continue;
		id = id << 4 | (unsigned)digit;
		digits++;
	}
	return digits == 16 ? id : 0;
}

void
clock_read(struct stamp *now)
{
	static uint64_t boot_id; /* no process outlives its boot: one look is enough */
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	now->wall = ts.tv_sec;
	now->boot = clock_ms();
	if (boot_id == 0)
		boot_id = read_boot_id();
	now->boot_id = boot_id;
	now->believable = now->wall >= BUILD_TIME;
}

/* /dev/urandom, for a process that cannot open it any more; -1: not kept. */
static int device = -1;

static int
open_device(void)
{
	return openat(AT_FDCWD, "/dev/urandom", O_RDONLY | O_CLOEXEC);
}

void
clock_keep_random(void)
{
	char byte;

	if (device < 0 && getrandom(&byte, 1, GRND_NONBLOCK) < 0 && errno != EAGAIN)
		device = open_device();
}

/* From the kernel's generator; kernels before 3.17, and filters that do not know the call,
 * have only the device. 0, or -1 with errno; EAGAIN: it has not been seeded. */
static int
draw(void *bytes, size_t len, unsigned flags)
{
	ssize_t n;

	while ((n = getrandom(bytes, len, flags)) < 0 && errno == EINTR)
		;
	if (n < 0 && errno != EAGAIN) {
		int fd = device < 0 ? open_device() : device;
		n = fd < 0 ? -1 : read(fd, bytes, len);
		if (fd >= 0 && fd != device)
			close(fd);
	}
	return n == (ssize_t)len ? 0 : -1;
}

/* A bijection of either of the two: nothing that was in state gets lost. */
static uint64_t
stir(uint64_t state, uint64_t with)
{
	state = (state ^ with) * 0x9e3779b97f4a7c15;
	return state ^ state >> 29;
}

static uint64_t
differ_once(void)
{
	static uint64_t calls;
	const unsigned char *own = (const void *)getauxval(AT_RANDOM);
	uint64_t state = ++calls;

	for (size_t n = 0; own && n < 16; n++)
		state = stir(state, own[n]);
	return state;
}

uint64_t
clock_differ(const struct stamp *now)
{
	return stir(stir(differ_once(), now->boot_id), (uint64_t)now->boot);
}

/* Another number each time, whatever of it stands still: the clocks as well. */
static uint64_t
differ(void)
{
	struct timespec ts[2];
	uint64_t state = differ_once();

	clock_gettime(CLOCK_REALTIME, &ts[0]);
	clock_gettime(CLOCK_MONOTONIC, &ts[1]);
	for (size_t n = 0; n < 2; n++)
		state = stir(stir(state, (uint64_t)ts[n].tv_sec), (uint64_t)ts[n].tv_nsec);
	return state;
}

void
clock_random(void *bytes, size_t len)
{
	unsigned char *p = bytes;
	uint64_t mixed = 0;

	memset(p, 0, len);
	draw(p, len, GRND_INSECURE);
	for (size_t n = 0; n < len; n++, mixed >>= 8) {
		if (n % sizeof mixed == 0)
			mixed = differ();
		p[n] ^= (unsigned char)mixed;
	}
}

int
clock_secret(void *bytes, size_t len)
{
	int64_t patience = clock_ms() + SEED_MS;

	while (draw(bytes, len, GRND_NONBLOCK)) {
		if (errno != EAGAIN || clock_ms() >= patience)
			return -1;
		nap(50);
	}
	return 0;
}
