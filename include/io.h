/* SPDX-License-Identifier: ISC */
/*
 * Reading, and buffered writing: a writer's first error stays in it, so write freely and look
 * once at writer_flush. A source is a message as it is delivered: bytes from memory, then a
 * range of a file, then memory again.
 */
#ifndef IO_H
#define IO_H

#include "buf.h"

#include <poll.h>
#include <sys/types.h>

/* Is a read or write that failed to be made again? Waits for fd where somebody made it
 * non-blocking, as the other end of a terminal or socket may. */
bool io_again(int fd, short events);

struct reader {
	int fd;
	char *space;
	size_t cap;
};

/* space (cap bytes, at least 1) stays the caller's and must outlive the reader. */
void reader_init(struct reader *r, int fd, char *space, size_t cap);

/* The next bytes there are, at most cap: 1 with *piece valid until the next call, 0 at the
 * end, -1 with errno. */
int reader_bytes(struct reader *r, struct str *piece);

struct writer {
	int fd; /* -1: count only */
	char *space;
	size_t cap, len;
	uint64_t total; /* bytes accepted */
	int error;      /* errno of the first failure, or 0: nothing is written after it */
};

void writer_init(struct writer *w, int fd, char *space, size_t cap);
void writer_add(struct writer *w, struct str bytes);
/* Puts bytes over others that were added before, at offset at of all. False: those are no longer
 * in the buffer. */
bool writer_patch(struct writer *w, uint64_t at, struct str bytes);
/* Writes what is buffered. 0, or -1 with the errno of the first failure since init. */
int writer_flush(struct writer *w);

struct source {
	struct str head;
	int fd;
	uint64_t offset, length; /* of the file's range */
	struct str tail;
	uint64_t pos; /* how much has been read of all */
};

uint64_t source_size(const struct source *s);
/* The next at most cap bytes: how many, 0 at the end, -1 with errno; a file shorter than its
 * range is EIO. Reads with pread: the descriptor's own position stays. */
ssize_t source_read(struct source *s, char *dst, size_t cap);

#endif
