/* SPDX-License-Identifier: ISC */
/*
 * PEM text (RFC 7468) on disk: certificates and keys between their marks, all else skipped.
 * Read a piece at a time: a worker must not hold 200 kB for one certificate.
 */
#ifndef PEM_H
#define PEM_H

#include "buf.h"

#include <sys/types.h>

/* How the marks of what is looked for end, whatever stands before that. */
#define PEM_CERTIFICATE STR("CERTIFICATE-----")
#define PEM_KEY         STR("PRIVATE KEY-----")

struct pem {
	int fd;           /* for pread; {.fd = fd} begins at its start */
	off_t offset;
	struct str ready; /* in space: read, not yet looked at */
	char space[2048]; /* may hold a secret: the caller's to wipe */
};

/* The next block of that kind: its DER takes the place of what is in *der, which does not move
 * if it has room for LIMIT_PEM_BLOCK and a space. Empty where the block is larger than that,
 * encrypted as openssl once did, or malformed. False: there is none. */
bool pem_take(struct pem *p, struct str kind, struct buf *der);

/* What of PEM is at path, open: the file, or what is in a directory's files *.pem and *.crt,
 * copied into the kernel's memory, since it must be read later without rights. -1 with errno:
 * ENODATA where no such file is in the directory, EFBIG for more than LIMIT_PEM_DIRECTORY. */
int pem_open(const char *path);

#endif
