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
 * back. Where we are not root: nothing, unless uid is another one's: -1 with EPERM. */
int sandbox_become(uid_t uid, gid_t gid);

/* The signal that this process gets when its parent dies; ends at once when it is dead
 * already. */
void sandbox_follow(pid_t parent);

/* For a relay worker, everything opened: no core dumps, no new files, processes or larger
 * files (rlimits), no_new_privs, Landlock without any path where the kernel has it, and a
 * seccomp filter that allows what smtp, tls, net, dns and log still need and makes all else
 * fail with EPERM. Returns false where the kernel has no seccomp: said by the caller at
 * debug level. */
bool sandbox_enter(void);

#endif
