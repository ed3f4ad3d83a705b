/* SPDX-License-Identifier: ISC */
/*
 * Buffered reading of lines and buffered writing, over a descriptor or over memory. A
 * writer's first error stays in it: write freely, look once at writer_flush. A source is a
 * message as it is delivered: bytes from memory, then a range of a file, then memory again.
 */
#ifndef IO_H
#define IO_H

#include "buf.h"

#include <sys/types.h>

struct reader {
	int fd; /* -1: memory only */
	char *space;
	size_t cap;
	struct str ready; /* read, not yet handed out */
	int error;        /* errno of a failed read, or 0 */
	bool eof;
};

/* space (cap bytes, at least 1) stays the caller's and must outlive the reader. */
void reader_init(struct reader *r, int fd, char *space, size_t cap);
void reader_memory(struct reader *r, struct str bytes);

/* The next bytes there are, at most cap: 1 with *piece valid until the next call, 0 at the
 * end, -1 with errno. */
int reader_bytes(struct reader *r, struct str *piece);

/* The next line with its '\n', or, where a line is longer than cap or the input ends without
 * one, the part there is. Returns as reader_bytes. */
int reader_line(struct reader *r, struct str *line);

struct writer {
	int fd; /* -1: count only */
	char *space;
	size_t cap, len;
	uint64_t total; /* bytes accepted */
	int error;      /* errno of the first failure, or 0: nothing is written after it */
};

void writer_init(struct writer *w, int fd, char *space, size_t cap);
void writer_add(struct writer *w, struct str bytes);
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
