/* SPDX-License-Identifier: ISC */
#include "sandbox.h"
#include "log.h"

#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

/* --- descriptors, identity, parent --- */

enum { MOST_DESCRIPTORS = 65536 }; /* looked at one by one on kernels before 5.9 */

static void
close_between(unsigned first, unsigned last)
{
	struct rlimit limit;

	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	if (prlimit(0, RLIMIT_NOFILE, NULL, &limit) || limit.rlim_cur > MOST_DESCRIPTORS)
		limit.rlim_cur = MOST_DESCRIPTORS;
	for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++)
		close((int)fd);
}

void
sandbox_close(const int *keep, size_t count)
{
	unsigned first = 3, next;

	do {
		next = UINT32_MAX;
		for (size_t i = 0; i < count; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= first &&
			    (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		close_between(first, next - 1);
		first = next + 1;
	} while (first != 0);
}

void
sandbox_drop_group(void)
{
	gid_t gid = getgid();

	if (getegid() != gid && (setresgid(gid, gid, gid) || getegid() != gid))
		die(EX_OSERR, "cannot give up the group of the queue:");
}

void
sandbox_follow(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(EX_TEMPFAIL);
}

void
sandbox_outlive(void)
{
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

/* The calls as they are: the C library's would tell all threads, of which there are none. On
 * 32-bit machines there are older ones, for ids of 16 bits. */
#ifdef SYS_setresuid32
enum { SET_GROUPS = SYS_setgroups32, SET_GIDS = SYS_setresgid32, SET_UIDS = SYS_setresuid32 };
#else
enum { SET_GROUPS = SYS_setgroups, SET_GIDS = SYS_setresgid, SET_UIDS = SYS_setresuid };
#endif

int
sandbox_become(uid_t uid, gid_t gid)
{
	pid_t parent = getppid();
	int signal_at_death = 0;
	uid_t u[3];
	gid_t g[3];

	if (geteuid() != 0) {
		errno = EPERM;
		return uid == geteuid() ? 0 : -1;
	}
	prctl(PR_GET_PDEATHSIG, &signal_at_death, 0, 0, 0);
	/* A process that is half another one must not go on. */
	if (syscall(SET_GROUPS, 0, NULL) || syscall(SET_GIDS, gid, gid, gid) ||
	    syscall(SET_UIDS, uid, uid, uid))
		die(EX_OSERR, "becoming uid %lu, gid %lu:", (unsigned long)uid,
		    (unsigned long)gid);
	if (getresuid(&u[0], &u[1], &u[2]) || u[0] != uid || u[1] != uid || u[2] != uid ||
	    getresgid(&g[0], &g[1], &g[2]) || g[0] != gid || g[1] != gid || g[2] != gid ||
	    (uid != 0 && syscall(SET_UIDS, 0, 0, 0) == 0))
		die(EX_OSERR, "root's rights are still there after becoming uid %lu",
		    (unsigned long)uid);
	/* The kernel forgets this one with the old identity. */
	if (signal_at_death)
		sandbox_follow(parent);
	return 0;
}

/* --- the kernel's interface: its headers are not everywhere where a C library is --- */

/* What a filter is told of the machine it runs on (linux/audit.h); 0: no filter is known for
 * this one. */
#if defined(__x86_64__) && !defined(__ILP32__)
enum { MACHINE = 0x4000003e };
#elif defined(__aarch64__)
enum { MACHINE = 0x400000b7 };
#elif defined(__riscv) && __riscv_xlen == 64
enum { MACHINE = 0x400000f3 };
#elif defined(__arm__)
enum { MACHINE = 0x40000028 };
#elif defined(__mips__) && (_MIPS_SIM == _ABIO32 || _MIPS_SIM == _ABI64)
enum { MACHINE = 8 + (BYTE_ORDER == LITTLE_ENDIAN) * 0x40000000 };
#else
enum { MACHINE = 0 };
#endif
static const uint32_t machine = MACHINE ? MACHINE | (uint32_t)(sizeof(long) == 8) << 31 : 0;

/* All that smtp, tls, net, dns, worker and log call, with what C libraries use for it (and a
 * sanitized build: sigaltstack); socket has a rule of its own. New machines lack the old one
 * of two calls; on 32-bit machines a second set has 64-bit times. */
static const unsigned short allowed_calls[] = {
	SYS_read, SYS_write, SYS_writev, SYS_pread64, SYS_close,
	SYS_connect, SYS_bind, SYS_getsockopt, SYS_setsockopt, SYS_getsockname,
	SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_ppoll,
	SYS_nanosleep, SYS_getrandom, SYS_getpid, SYS_gettid,
	SYS_mremap, SYS_munmap, SYS_mprotect, SYS_brk, SYS_madvise,
	SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_sigaltstack, SYS_restart_syscall,
	SYS_exit, SYS_exit_group,
#ifdef SYS_poll
	SYS_poll,
#endif
#ifdef SYS_fcntl
	SYS_fcntl,
#endif
#ifdef SYS_fcntl64
	SYS_fcntl64,
#endif
#ifdef SYS_mmap
	SYS_mmap,
#endif
#ifdef SYS_mmap2
	SYS_mmap2,
#endif
#ifdef SYS_sigreturn
	SYS_sigreturn,
#endif
#ifdef SYS_clock_gettime
	SYS_clock_gettime,
#endif
#ifdef SYS_clock_gettime32
	SYS_clock_gettime32,
#endif
#ifdef SYS_clock_gettime64
	SYS_clock_gettime64, SYS_clock_nanosleep_time64, SYS_ppoll_time64,
#endif
#ifdef SYS_clock_nanosleep
	SYS_clock_nanosleep,
#endif
};

enum {
	/* linux/seccomp.h, linux/filter.h */
	FILTER_MODE = 2,
	LOAD = 0x20,     /* a 32-bit word of struct seccomp_data at k */
	EQUALS = 0x15,   /* jump yes or no instructions on */
	RETURN = 0x06,
	CALL_NUMBER = 0,
	CALL_MACHINE = 4,
	CALL_ARGUMENT = 16 + (BYTE_ORDER == BIG_ENDIAN) * 4, /* the first one's low half */
	REFUSE = 0x00050000 | EPERM,
	ALLOW = 0x7fff0000,
	/* linux/landlock.h: rights known in kernels 5.13 (13 of them), 5.19, 6.2 and 6.10 */
	RIGHTS_FIRST = 0x1fff,
	RIGHTS_LAST = 0xffff,
};

struct instruction {
	uint16_t code;
	uint8_t yes, no;
	uint32_t k;
};

/* --- the relay worker's cage --- */

static void
forbid(int resource)
{
	if (prlimit(0, resource, &(struct rlimit){0, 0}, NULL))
		die(EX_OSERR, "setting a resource limit:");
}

/* A rule set that names all rights the kernel knows, and no path that has them. */
static void
forbid_files(void)
{
	long fd = -1;

	for (uint64_t rights = RIGHTS_LAST; fd < 0 && rights >= RIGHTS_FIRST; rights >>= 1)
		fd = syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0);
	if (fd < 0)
		return;
	if (syscall(SYS_landlock_restrict_self, fd, 0))
		die(EX_OSERR, "landlock:");
	close((int)fd);
}

/* Sockets to mail and name servers and nothing more exotic; the listed calls. */
static bool
forbid_calls(void)
{
	enum { CALLS = sizeof allowed_calls / sizeof *allowed_calls, HEAD = 10 };
	static const struct instruction head[HEAD] = {
		{LOAD, 0, 0, CALL_MACHINE},
		{EQUALS, 1, 0, machine},
		{RETURN, 0, 0, REFUSE},
		{LOAD, 0, 0, CALL_NUMBER},
		{EQUALS, 0, 5, SYS_socket},
		{LOAD, 0, 0, CALL_ARGUMENT},
		{EQUALS, 2, 0, AF_UNIX},
		{EQUALS, 1, 0, AF_INET},
		{EQUALS, 0, CALLS + 1, AF_INET6},
		{RETURN, 0, 0, ALLOW},
	};
	struct instruction code[HEAD + CALLS + 2];
	struct {
		unsigned short len;
		const struct instruction *code;
	} program = {HEAD + CALLS + 2, code};

	memcpy(code, head, sizeof head);
	for (unsigned i = 0; i < CALLS; i++)
		code[HEAD + i] = (struct instruction){EQUALS, (uint8_t)(CALLS - i), 0,
						      allowed_calls[i]};
	code[HEAD + CALLS] = (struct instruction){RETURN, 0, 0, REFUSE};
	code[HEAD + CALLS + 1] = (struct instruction){RETURN, 0, 0, ALLOW};
	return machine && prctl(PR_SET_SECCOMP, FILTER_MODE, &program, 0, 0) == 0;
}

bool
sandbox_enter(void)
{
	forbid(RLIMIT_CORE);
	forbid(RLIMIT_NPROC);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return false;
	forbid_files();
	return forbid_calls();
}
