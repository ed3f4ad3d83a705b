/* SPDX-License-Identifier: ISC */
#include "clock.h"
#include "config.h"
#include "nap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

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

void
clock_random(void *bytes, size_t len)
{
	unsigned char *p = bytes;
	int64_t patience = clock_ms() + 5000;

	while (len > 0) {
		ssize_t n = getrandom(p, len, GRND_NONBLOCK);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN && clock_ms() < patience) {
			nap(50);
		} else if (n < 0 && errno != EINTR && errno != EAGAIN) {
			break;
		} else if (n < 0 && errno == EAGAIN) {
			getrandom(p, len, GRND_INSECURE);
			break;
		}
	}
}
