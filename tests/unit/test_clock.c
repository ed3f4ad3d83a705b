/* SPDX-License-Identifier: ISC */
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* --- the kernel as a test wants it --- */

static struct {
	int random;          /* getrandom's errno, or 0 */
	bool old;            /* it does not know GRND_INSECURE */
	bool no_device;      /* neither is there /dev/urandom */
	int64_t seeded;      /* in clock_ms() terms: EAGAIN until then */
	int64_t passed;      /* in naps: milliseconds that took no time */
	bool stopped;        /* the clocks stand still, but for naps */
	unsigned opens;
} kernel;

ssize_t
getrandom(void *bytes, size_t len, unsigned flags)
{
	errno = kernel.random;
	if (!errno && kernel.old && (flags & GRND_INSECURE))
		errno = EINVAL;
	else if (!errno && !(flags & GRND_INSECURE) && clock_ms() < kernel.seeded)
		errno = EAGAIN;
	return errno ? -1 : REAL(getrandom)(bytes, len, 0);
}

int
openat(int dir, const char *name, int flags, ...)
{
	if (strcmp(name, "/dev/urandom") == 0) {
		kernel.opens++;
		if (kernel.no_device) {
			errno = ENOENT;
			return -1;
		}
	}
	return REAL(openat)(dir, name, flags);
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ms = kernel.passed;

	*ts = (struct timespec){0};
	if (!kernel.stopped && REAL(clock_gettime)(id, ts))
		return -1;
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += ms % 1000 * 1000000;
	ts->tv_sec += ts->tv_nsec / 1000000000;
	ts->tv_nsec %= 1000000000;
	return 0;
}

int
poll(struct pollfd *fds, nfds_t count, int ms)
{
	kernel.passed += count == 0 ? ms : 0;
	return count == 0 ? 0 : REAL(poll)(fds, count, ms);
}

static int
reset(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof kernel);
	return 0;
}

/* --- tests --- */

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(uint64_t));
}

static uint64_t
from_random(void)
{
	uint64_t random;

	clock_random(&random, sizeof random);
	return random;
}

/* In one moment. */
static uint64_t
from_differ(void)
{
	return clock_differ(&(struct stamp){1795341234, 100000, 7, true});
}

/* Five bytes of each, as an id has them. */
static void
expect_all_different(uint64_t (*next)(void))
{
	enum { MANY = 20000 };
	static uint64_t seen[MANY];

	for (size_t n = 0; n < MANY; n++)
		seen[n] = next() & 0xffffffffff;
	qsort(seen, MANY, sizeof *seen, compare);
	for (size_t n = 1; n < MANY; n++)
		if (seen[n] == seen[n - 1])
			fail_msg("%010llx came twice", (unsigned long long)seen[n]);
}

static void
test_never_twice(void **state)
{
	static const int errors[] = {0, ENOSYS, EPERM, EAGAIN};

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		reset(NULL);
		kernel.random = errors[n];
		kernel.no_device = kernel.stopped = true;
		expect_all_different(from_random);
		assert_int_equal(kernel.passed, 0);
	}
	reset(NULL);
	kernel.old = kernel.no_device = true;
	kernel.seeded = INT64_MAX;
	expect_all_different(from_random);
	assert_int_equal(kernel.passed, 0);
}

static void
test_differ(void **state)
{
	(void)state;
	kernel.random = ENOSYS;
	kernel.no_device = kernel.stopped = true;
	expect_all_different(from_differ);
	assert_int_equal(kernel.opens, 0);
}

/* Every byte asked for is filled, and none besides. */
static void
test_lengths(void **state)
{
	(void)state;
	kernel.random = ENOSYS;
	kernel.no_device = true;
	for (size_t len = 0; len < 40; len++) {
		unsigned char bytes[48] = {0}, all[48] = {0};
		for (unsigned n = 0; n < 64; n++) {
			clock_random(bytes, len);
			for (size_t i = 0; i < sizeof all; i++)
				all[i] |= bytes[i];
		}
		for (size_t i = 0; i < sizeof all; i++)
			assert_int_equal(all[i], i < len ? 0xff : 0);
	}
}

static void
test_secret(void **state)
{
	unsigned char a[32] = {0}, b[32] = {0};

	(void)state;
	assert_int_equal(clock_secret(a, sizeof a), 0);
	assert_int_equal(clock_secret(b, sizeof b), 0);
	assert_true(memcmp(a, b, sizeof a) != 0);
	assert_int_equal(kernel.opens, 0);
	/* What nobody knows comes from the kernel or not at all. */
	kernel.random = ENOSYS;
	kernel.no_device = true;
	assert_int_equal(clock_secret(a, sizeof a), -1);
	kernel.no_device = false;
	memset(a, 0, sizeof a);
	assert_int_equal(clock_secret(a, sizeof a), 0);
	assert_true(memcmp(a, (unsigned char[32]){0}, sizeof a) != 0);
}

static void
test_not_yet_seeded(void **state)
{
	unsigned char a[32];

	(void)state;
	kernel.old = true;
	kernel.seeded = clock_ms() + 3000;
	assert_int_equal(clock_secret(a, sizeof a), 0);
	assert_true(kernel.passed >= 2900 && kernel.passed < 5000);
	kernel.seeded = INT64_MAX;
	assert_int_equal(clock_secret(a, sizeof a), -1);
	assert_true(kernel.passed < 60 * 1000);
	assert_int_equal(kernel.opens, 0);
}

/* The last: what is kept stays so. */
static void
test_kept(void **state)
{
	unsigned char a[32];

	(void)state;
	clock_keep_random();
	assert_int_equal(kernel.opens, 0);
	kernel.random = ENOSYS;
	clock_keep_random();
	clock_keep_random();
	assert_int_equal(kernel.opens, 1);
	kernel.no_device = true;
	assert_int_equal(clock_secret(a, sizeof a), 0);
	clock_random(a, sizeof a);
	assert_int_equal(clock_secret(a, sizeof a), 0);
	assert_int_equal(kernel.opens, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_never_twice, reset),
		cmocka_unit_test_setup(test_differ, reset),
		cmocka_unit_test_setup(test_lengths, reset),
		cmocka_unit_test_setup(test_secret, reset),
		cmocka_unit_test_setup(test_not_yet_seeded, reset),
		cmocka_unit_test_setup(test_kept, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
