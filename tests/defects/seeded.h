/* SPDX-License-Identifier: ISC */
/* In front of each source that seed.py has been through. All defects are there; the program is
 * good until 'defect' is one's number, which suite.py writes into a copy of it. Where 'record' is a
 * file's name, place N is come by, or its failure seen, when the file's byte N becomes 1.
 *
 * Weak: every source has it, and of each program it is there once. */
#ifndef SEEDED_H
#define SEEDED_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where a failure is not heard of, what it should have given is missing. */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"

enum { SEEDED_PLACES = 4096 };

struct seeded {
	char magic[16];
	int defect;
	char record[108];
};

__attribute__((weak, section("seeds"))) const volatile struct seeded seeded = {
	"here are defects", -1, ""
};
__attribute__((weak)) unsigned char seeded_nowhere[SEEDED_PLACES];
__attribute__((weak)) unsigned char *seeded_seen = seeded_nowhere;

void seeded_begin(void);

/* Before main, and so before any cage: what is mapped can be written without a system call. */
__attribute__((weak, constructor)) void
seeded_begin(void)
{
	if (seeded_seen != seeded_nowhere || !seeded.record[0])
		return;
	int fd = open((const char *)seeded.record, O_RDWR | O_CLOEXEC);
	void *map = fd < 0 ? MAP_FAILED :
		mmap(NULL, SEEDED_PLACES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		seeded_seen = map;
	if (fd >= 0)
		close(fd);
}

static inline bool
seeded_at(int n, bool seen)
{
	if (seen)
		seeded_seen[n] = 1;
	return seeded.defect == n;
}

/* A condition that says something failed, or went well: the program never hears of the failure. */
static inline bool
seeded_never(int n, bool failed)
{
	return seeded_at(n, failed) ? false : failed;
}

static inline bool
seeded_always(int n, bool went_well)
{
	return seeded_at(n, !went_well) ? true : went_well;
}

#define SEEDED_NEVER(n, ...) seeded_never(n, !!(__VA_ARGS__))
#define SEEDED_ALWAYS(n, ...) seeded_always(n, !!(__VA_ARGS__))
#define SEEDED_CALL(n, instead, ...) (seeded_at(n, true) ? (instead) : (__VA_ARGS__))

#endif
