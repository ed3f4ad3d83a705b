/* SPDX-License-Identifier: ISC */
/*
 * Rights given up: by a local delivery (becomes the recipient), by a relay worker before it
 * parses the first network byte (nobody's rights, no new files, few system calls). Each step
 * is checked; one that must not fail ends the process with EX_OSERR.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes every descriptor from 3 on that is not in keep (count entries; -1 entries are
 * skipped). */
void sandbox_close(const int *keep, size_t count);

/* Becomes uid and gid for good (no supplementary groups), and checks that there is no way
 * back; what sandbox_follow asked for stays. Where we are not root: nothing, unless uid is
 * another one's: -1 with EPERM. */
int sandbox_become(uid_t uid, gid_t gid);

/* Gives up the group of a set-gid program for good, which only the queue needs. */
void sandbox_drop_group(void);

/* This process is killed when its parent dies, and ends at once when parent is dead already
 * (getppid() is another one). */
void sandbox_follow(pid_t parent);

/* From now on it is not: it has begun what only it can finish or take back. */
void sandbox_outlive(void);

/* For a relay worker, everything opened: no core dumps and no processes (rlimits; none on the
 * size of files, the log may be one), not dumpable, no_new_privs, Landlock without any path
 * where the kernel has it, and a seccomp filter that allows what smtp, tls, net, dns, worker
 * and log still need, sockets of IPv4, IPv6 and unix only, and makes all else fail with
 * EPERM. Returns false where the kernel has no seccomp or the filter does not know the
 * machine: said by the caller at debug level. */
bool sandbox_enter(void);

#endif
