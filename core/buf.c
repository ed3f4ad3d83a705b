/* SPDX-License-Identifier: ISC */
#include "buf.h"
#include "fmt.h"
#include "log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#ifndef FIRST_MEMORY
#define FIRST_MEMORY (40 << 10)
#endif

/* Memory that is given out first, from the bottom up: to hand a message in takes no more, so the
 * heap is not set up, which would be a fifth of its system calls and a third of its page faults.
 * What is given back is used again once all above it is; the rest is the heap's. */
struct piece {
	size_t len;
	struct piece *below; /* NULL: the lowest */
	_Alignas(max_align_t) char bytes[];
};

enum {
	STEP = _Alignof(max_align_t),
	GROWN = 512,
};

/* Common variables stand behind all others, libc's too: what is in use of the space begins in
 * the page where those end. (Were it not used, the optimiser would make a plain one of it.) */
_Alignas(max_align_t) char buf_space[FIRST_MEMORY + sizeof(struct piece)]
	__attribute__((common, used));

static struct {
	char *next;
	struct piece *top; /* NULL: there is none */
} first = {buf_space, NULL};

static struct piece *
piece_of(void *p)
{
	return (struct piece *)(void *)((char *)p - offsetof(struct piece, bytes));
}

static bool
is_first(const void *p)
{
	return (uintptr_t)p - (uintptr_t)buf_space < sizeof buf_space;
}

static void *
take_first(size_t len)
{
	struct piece *p = (struct piece *)(void *)first.next;
	size_t room = (size_t)(buf_space + sizeof buf_space - first.next);

	if (len > room || room - len < sizeof *p + STEP)
		return NULL;
	*p = (struct piece){len, first.top};
	first.next += (sizeof *p + len + STEP - 1) / STEP * STEP;
	first.top = p;
	return p->bytes;
}

/* What stands there stays until somebody takes it. */
static void
give_back_first(struct piece *p)
{
	p->len = SIZE_MAX;
	for (; first.top && first.top->len == SIZE_MAX; first.top = first.top->below)
		first.next = (char *)first.top;
}

static void *
resize(void *old, size_t len)
{
	size_t kept = 0;
	void *p;

	if (old && !is_first(old))
		return realloc(old, len);
	/* What grows further and further would only leave holes here. */
	bool grows = old && len > GROWN && piece_of(old) != first.top;
	if (old) {
		kept = piece_of(old)->len < len ? piece_of(old)->len : len;
		give_back_first(piece_of(old));
	}
	if ((grows || !(p = take_first(len))) && !(p = malloc(len)))
		return NULL;
	if (p != old && kept > 0)
		memmove(p, old, kept);
	return p;
}

void *
buf_array(void *old, size_t count, size_t size)
{
	if (count > SIZE_MAX / size)
		die(EX_TEMPFAIL, "out of memory");
	void *p = resize(old, count == 0 ? 1 : count * size);
	if (!p)
		die(EX_TEMPFAIL, "out of memory");
	return p;
}

void
buf_release(void *p)
{
	if (p && is_first(p))
		give_back_first(piece_of(p));
	else
		free(p);
}

void
buf_free(struct buf *b)
{
	buf_release(b->ptr);
	*b = (struct buf){0};
}

void
buf_wipe(struct buf *b)
{
	if (b->ptr)
		explicit_bzero(b->ptr, b->cap);
	buf_free(b);
}

/* Not in buf_room itself: mostly there is room. */
__attribute__((noinline)) static void
grow(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 64;

	if (len > SIZE_MAX / 2 - b->len)
		die(EX_TEMPFAIL, "out of memory");
	while (cap < b->len + len)
		cap += cap / 2;
	b->ptr = buf_array(b->ptr, cap, 1);
	b->cap = cap;
}

char *
buf_room(struct buf *b, size_t len)
{
	if (len > b->cap - b->len)
		grow(b, len);
	return b->ptr + b->len;
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_room(b, len), bytes, len);
	b->len += len;
}

void
buf_str(struct buf *b, struct str s)
{
	buf_add(b, s.ptr, s.len);
}

void
buf_puts(struct buf *b, const char *z)
{
	buf_add(b, z, strlen(z));
}

void
buf_putc(struct buf *b, char c)
{
	*buf_room(b, 1) = c;
	b->len++;
}

void
buf_print(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	size_t n = 0, cap;

	/* Mostly there is room; else the first look says how much it takes. */
	do {
		char *dst = buf_room(b, n + 1);
		cap = b->cap - b->len;
		va_start(ap, fmt);
		n = fmt_vprint(dst, cap, fmt, ap);
		va_end(ap);
	} while (n >= cap);
	b->len += n;
}

const char *
buf_cstr(struct buf *b)
{
	*buf_room(b, 1) = '\0';
	return b->ptr;
}

struct str
buf_view(const struct buf *b)
{
	return (struct str){b->ptr, b->len};
}

struct str
buf_tail(const struct buf *b, size_t start)
{
	return str_from(buf_view(b), start);
}
