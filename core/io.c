/* SPDX-License-Identifier: ISC */
#include "io.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool
io_again(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	if (errno != EAGAIN)
		return errno == EINTR;
	poll(&p, 1, -1);
	return true;
}

void
reader_init(struct reader *r, int fd, char *space, size_t cap)
{
	*r = (struct reader){.fd = fd, .space = space, .cap = cap};
}

int
reader_bytes(struct reader *r, struct str *piece)
{
	ssize_t n;

	do
		n = read(r->fd, r->space, r->cap);
	while (n < 0 && io_again(r->fd, POLLIN));
	*piece = (struct str){r->space, n > 0 ? (size_t)n : 0};
	return n > 0 ? 1 : (int)n;
}

void
writer_init(struct writer *w, int fd, char *space, size_t cap)
{
	*w = (struct writer){.fd = fd, .space = space, .cap = cap};
}

static void
write_out(struct writer *w, struct str bytes)
{
	while (!w->error && bytes.len > 0 && w->fd >= 0) {
		ssize_t n = write(w->fd, bytes.ptr, bytes.len);
		if (n > 0)
			bytes = str_from(bytes, (size_t)n);
		else if (n == 0 || !io_again(w->fd, POLLOUT))
			w->error = n == 0 ? EIO : errno;
	}
}

void
writer_add(struct writer *w, struct str bytes)
{
	w->total += bytes.len;
	if (bytes.len >= w->cap - w->len) {
		write_out(w, (struct str){w->space, w->len});
		w->len = 0;
	}
	if (bytes.len >= w->cap) {
		write_out(w, bytes);
	} else if (bytes.len > 0) {
		memcpy(w->space + w->len, bytes.ptr, bytes.len);
		w->len += bytes.len;
	}
}

bool
writer_patch(struct writer *w, uint64_t at, struct str bytes)
{
	uint64_t gone = w->total - w->len;

	if (at < gone || at + bytes.len > w->total)
		return false;
	memcpy(w->space + (at - gone), bytes.ptr, bytes.len);
	return true;
}

int
writer_flush(struct writer *w)
{
	write_out(w, (struct str){w->space, w->len});
	w->len = 0;
	errno = w->error;
	return w->error ? -1 : 0;
}

uint64_t
source_size(const struct source *s)
{
	return s->head.len + s->length + s->tail.len;
}

static ssize_t
read_memory(struct source *s, struct str from, uint64_t at, char *dst, size_t cap)
{
	struct str piece = str_upto(str_from(from, (size_t)at), cap);

	memcpy(dst, piece.ptr, piece.len);
	s->pos += piece.len;
	return (ssize_t)piece.len;
}

ssize_t
source_read(struct source *s, char *dst, size_t cap)
{
	uint64_t at = s->pos;
	ssize_t n;

	if (cap == 0 || at >= source_size(s))
		return 0;
	if (at < s->head.len)
		return read_memory(s, s->head, at, dst, cap);
	at -= s->head.len;
	if (at >= s->length)
		return read_memory(s, s->tail, at - s->length, dst, cap);
	if (cap > s->length - at)
		cap = (size_t)(s->length - at);
	do
		n = pread(s->fd, dst, cap, (off_t)(s->offset + at));
	while (n < 0 && errno == EINTR);
	if (n == 0) {
		errno = EIO;
		return -1;
	}
	if (n > 0)
		s->pos += (uint64_t)n;
	return n;
}
