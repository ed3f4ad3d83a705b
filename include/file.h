/* SPDX-License-Identifier: ISC */
/*
 * Durable file primitives over a directory's descriptor. Each is one step of a commit or a
 * claim; which steps, and in which order, is spool's to say. All: 0, or -1 with errno;
 * interrupted calls are repeated.
 */
#ifndef FILE_H
#define FILE_H

#include "buf.h"

#include <sys/stat.h>
#include <sys/types.h>

/* An existing one, close-on-exec. (The C library's open asks for that twice.) The descriptor,
 * or -1. */
int file_open(const char *path, int flags);

/* A new file, O_EXCL, close-on-exec, read and write. The descriptor, or -1. */
int file_create(int dir, const char *name, mode_t mode);

/* An exclusive flock. deadline in clock_ms() terms, 0: do not wait. -1 with EWOULDBLOCK:
 * somebody else holds it. */
int file_lock(int fd, int64_t deadline);

/* 1: name in dir still means the file that fd has open (same device, same inode). 0: it does
 * not, or is gone. -1 with errno: not known. */
int file_is(int fd, int dir, const char *name);

int file_write(int fd, struct str bytes);                  /* all, at fd's position */
int file_write_at(int fd, struct str bytes, off_t offset); /* all, with pwrite */
/* Reads until len bytes or the file's end. How many, or -1. */
ssize_t file_read_at(int fd, void *dst, size_t len, off_t offset);

int file_sync(int fd);     /* data and metadata on stable storage */
int file_sync_dir(int dir); /* names; a file system that cannot sync a directory passes */

/* The same for the directory that path stands in; one that we may not read passes. */
int file_sync_parent(const char *path);

/* Opens a directory, and makes it where it is missing, for its owner alone; *st is its fstat. Its
 * name is on disk when this returns, also where another process of his has just made it, or has
 * died before that was done: until then it has the sticky bit. The descriptor, or -1. */
int file_enter(int at, const char *name, int flags, struct stat *st);

/* A rename that takes no other file's place (EEXIST). Where the system has none there is a moment
 * between the look and the rename: there the caller's rule for new names has to do. */
int file_rename_new(int from_dir, const char *from, int to_dir, const char *to);

/* Calls visit with every name in dir, a NUL behind each, in no order, dots too; not with dir's
 * own position. */
int file_walk(int dir, void (*visit)(void *ctx, struct str name), void *ctx);

/* Opens something that is always there and holds nothing: /dev/null, or without it the root
 * directory, which cannot be read or written either. flags: the way of access. */
int file_open_null(int flags);

/* Appends the whole file at path to *out. -1: not readable, or (EFBIG) larger than max. */
int file_load(const char *path, size_t max, struct buf *out);
/* The same; seen: the file as it was before it was read, zeros where it could not be opened. */
int file_load_seen(const char *path, size_t max, struct buf *out, struct stat *seen);
/* The same for an open descriptor, from its start. */
int file_load_fd(int fd, size_t max, struct buf *out);

#endif
