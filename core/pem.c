/* SPDX-License-Identifier: ISC */
#include "pem.h"
#include "codec.h"
#include "file.h"
#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fills the space behind what is ready. False: there is no more, or no room. */
static bool
fill(struct pem *p)
{
	size_t have = p->ready.len;

	if (have > 0)
		memmove(p->space, p->ready.ptr, have);
	p->ready.ptr = p->space;
	ssize_t n = pread(p->fd, p->space + have, sizeof p->space - have, p->offset);
	if (n <= 0)
		return false;
	p->offset += n;
	p->ready.len += (size_t)n;
	return true;
}

/* A line longer than the space comes in pieces. */
static bool
take_line(struct pem *p, struct str *line)
{
	if (str_find(p->ready, '\n') == p->ready.len && !fill(p) && p->ready.len == 0)
		return false;
	*line = str_trim(str_cut(&p->ready, '\n'));
	return true;
}

static bool
ends_with(struct str s, struct str end)
{
	return s.len >= end.len && str_eq(str_from(s, s.len - end.len), end);
}

/* Keys that openssl encrypted long ago have header fields, which are not base64. */
bool
pem_take(struct pem *p, struct str kind, struct buf *der)
{
	struct str line;
	bool inside = false, good = false;

	while (take_line(p, &line)) {
		if (str_starts(line, STR("-----BEGIN "))) {
			inside = good = ends_with(line, kind);
			der->len = 0;
		} else if (inside && str_starts(line, STR("-----END "))) {
			der->len = good ? der->len : 0;
			return true;
		} else if (good) {
			ptrdiff_t n = codec_unbase64(line, buf_room(der, line.len), line.len);
			good = n >= 0 && der->len + (size_t)n <= LIMIT_PEM_BLOCK;
			der->len += good ? (size_t)n : 0;
		}
	}
	return false;
}

struct gathering {
	int dir, memory; /* descriptors */
	size_t size;
};

/* Errors of single files pass, as those do that hold no PEM: others may have what is needed. */
static void
gather(void *ctx, struct str name)
{
	struct gathering *g = ctx;
	struct stat st;
	ssize_t n;

	if (!ends_with(name, STR(".pem")) && !ends_with(name, STR(".crt")))
		return;
	int fd = openat(g->dir, name.ptr, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		size_t left = (size_t)st.st_size;
		g->size += left;
		if (g->size > LIMIT_PEM_DIRECTORY)
			left = 0;
		while (left > 0 && (n = sendfile(g->memory, fd, NULL, left)) > 0)
			left -= (size_t)n;
		file_write(g->memory, STR("\n")); /* which the last line may lack */
	}
	if (fd >= 0)
		close(fd);
}

/* Closes dir. */
static int
open_directory(int dir)
{
	struct gathering g = {.dir = dir, .memory = memfd_create("pem", MFD_CLOEXEC)};
	int error = 0;

	if (g.memory < 0 || file_walk(dir, gather, &g))
		error = errno;
	else if (g.size == 0)
		error = ENODATA;
	else if (g.size > LIMIT_PEM_DIRECTORY)
		error = EFBIG;
	close(dir);
	if (!error)
		return g.memory;
	close(g.memory);
	errno = error;
	return -1;
}

int
pem_open(const char *path)
{
	int fd = file_open(path, O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return open_directory(fd);
	return fd;
}
