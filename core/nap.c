/* SPDX-License-Identifier: ISC */
#include "nap.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>

enum { STACK = 128 << 10 }; /* as deep as it may have been */

/* The linker's. */
extern char __executable_start[];

void
nap(int ms)
{
	poll(NULL, 0, ms);
}

void
nap_longer(int *ms)
{
	nap(*ms);
	*ms = *ms < 200 ? *ms * 2 : 250;
}

static char *
page_of(const void *p)
{
	return (char *)((uintptr_t)p & -getauxval(AT_PAGESZ));
}

int
nap_poll(struct pollfd *fds, nfds_t count, int ms)
{
	const ElfW(Phdr) *program = (const void *)getauxval(AT_PHDR);
	size_t page = getauxval(AT_PAGESZ);
	char *stack = page_of(&page) - page; /* madvise's own */
	char *here = page_of((const void *)nap_poll), *next = here + 2 * page;
	char *end = page_of(__executable_start + program->p_memsz);

	madvise(stack - STACK, STACK, MADV_DONTNEED);
	/* Whoever touches a page has its neighbours brought, too. So this one stays and the one behind
	 * it, with all that is called here: scripts/layout.names. */
	if (!(program->p_flags & PF_W) && next < end) {
		madvise(next, (size_t)(end - next), MADV_DONTNEED);
		madvise(__executable_start, (size_t)(here - __executable_start), MADV_DONTNEED);
	}
	return poll(fds, count, ms);
}
