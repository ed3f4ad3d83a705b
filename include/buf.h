/* SPDX-License-Identifier: ISC */
/*
 * Growable owned bytes. {0} is an empty one. Growth that memory does not allow ends the
 * process with EX_TEMPFAIL: every such point leaves what a crash would leave, and that is
 * tested. Bounds are the caller's duty.
 */
#ifndef BUF_H
#define BUF_H

#include "str.h"

struct buf {
	char *ptr;
	size_t len, cap;
};

void buf_free(struct buf *b); /* back to {0} */
void buf_wipe(struct buf *b); /* the same for secrets: overwritten first. Growth may
                                leave a copy: reserve room for all of a secret at once */

void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_str(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *z);
void buf_putc(struct buf *b, char c);
/* fmt.h's conversions. */
void buf_print(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for len more bytes behind b->len, which the caller fills and counts into b->len. */
char *buf_room(struct buf *b, size_t len);

/* The content ended by a NUL that does not count; valid until the next call. */
const char *buf_cstr(struct buf *b);

struct str buf_view(const struct buf *b);
/* The part from start on. */
struct str buf_tail(const struct buf *b, size_t start);

/* Memory that must be there, or EX_TEMPFAIL; size checked for overflow. old: NULL, or what is to
 * be resized. Never free's, but buf_release's. */
void *buf_array(void *old, size_t count, size_t size);
void buf_release(void *p); /* NULL is nothing */

#endif
