/* SPDX-License-Identifier: ISC */
/* Runs a command with all processes that come of it, writes down what they ask of the kernel,
 * and lets one call go wrong, or two.
 *
 * usage: inject [-o TRACE] [-t SECONDS] [-m CALLS] [-l MILLISECONDS]
 *               [-f FAULT -d DEPTH -c CALL -n N]... COMMAND...
 *        inject -k FILE
 *
 * FAULT happens at the N-th CALL of the processes at DEPTH: 0 is the command, 1 what it forks,
 * and so on. What has become another program is let go on, not counted. A second one is looked
 * out for when the first has happened.
 *
 *     kill     all processes are killed, before the call
 *     killone  the one that calls is
 *     short    half of what was asked for (of write, read, sendmsg, ...)
 *     EIO ...  the call is not made and fails so; close is made, and says it has failed
 *     full     from this call on the disk takes nothing more: ENOSPC
 *     dead     from this call on nothing on it can be changed, nor synced: EIO
 *
 * MILLISECONDS later (-l) the disk is well again.
 *
 * TRACE gets a line for each call, in their order: its number, its depth, its name, how many of
 * that name there were at that depth, "!" if it went wrong, and what it is about: a path or what
 * a descriptor leads to; "dot" where an SMTP message ends in what is written. Then "hang" if it
 * all took more than SECONDS, "spin" if more than CALLS, and "exit STATUS": the command's, 128
 * and the signal where it was killed. inject's own status is the same; 125: it could not trace.
 *
 * All that it started has ended when it ends.
 *
 * -k FILE: be a command for mail: what comes, to its end, is added to FILE in one piece. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 64, DEPTHS = 8, TROUBLE = 125, LOOK_MAX = 64 << 10, FAULTS = 2 };

#ifndef __x86_64__
int
main(void)
{
	fputs("inject: knows the registers of x86-64 only\n", stderr);
	return TROUBLE;
}
#else

/* What an argument is: PATH, path below a directory; a descriptor with a count, a message
 * header or a vector of what goes over it. */
enum about { NOTHING, PATH, AT, FD, COUNT, HEADER, VECTOR };

static const struct call {
	const char *name;
	long number;
	enum about about;
} calls[] = {
#define CALL(name, about) {#name, SYS_##name, about}
	CALL(read, COUNT), CALL(write, COUNT), CALL(pread64, COUNT), CALL(pwrite64, COUNT),
	CALL(readv, VECTOR), CALL(writev, VECTOR), CALL(open, PATH), CALL(openat, AT),
	CALL(close, FD), CALL(stat, PATH), CALL(lstat, PATH), CALL(fstat, FD),
	CALL(newfstatat, AT), CALL(statfs, PATH), CALL(fstatfs, FD), CALL(poll, NOTHING),
	CALL(ppoll, NOTHING), CALL(mmap, NOTHING), CALL(mremap, NOTHING), CALL(brk, NOTHING),
	CALL(nanosleep, NOTHING), CALL(clock_nanosleep, NOTHING), CALL(pipe, NOTHING),
	CALL(pipe2, NOTHING), CALL(dup, FD), CALL(dup2, FD), CALL(dup3, FD), CALL(fcntl, FD),
	CALL(flock, FD), CALL(fsync, FD), CALL(fdatasync, FD), CALL(ftruncate, FD),
	CALL(fallocate, FD), CALL(getdents64, FD), CALL(rename, PATH), CALL(renameat, AT),
	CALL(renameat2, AT), CALL(link, PATH), CALL(linkat, AT), CALL(unlink, PATH),
	CALL(unlinkat, AT), CALL(mkdir, PATH), CALL(mkdirat, AT), CALL(rmdir, PATH),
	CALL(symlink, PATH), CALL(chmod, PATH), CALL(fchmod, FD), CALL(fchown, FD),
	CALL(utimensat, FD), CALL(chdir, PATH), CALL(socket, NOTHING),
	CALL(socketpair, NOTHING), CALL(connect, FD), CALL(sendto, COUNT),
	CALL(recvfrom, COUNT), CALL(sendmsg, HEADER), CALL(recvmsg, HEADER),
	CALL(setsockopt, FD), CALL(getsockopt, FD), CALL(fork, NOTHING), CALL(vfork, NOTHING),
	CALL(clone, NOTHING), CALL(execve, PATH), CALL(wait4, NOTHING), CALL(setsid, NOTHING),
	CALL(setgroups, NOTHING), CALL(setresgid, NOTHING), CALL(setresuid, NOTHING),
	CALL(inotify_init1, NOTHING), CALL(inotify_add_watch, FD), CALL(signalfd4, NOTHING),
	CALL(memfd_create, NOTHING), CALL(getrandom, NOTHING), CALL(exit_group, NOTHING),
};
enum { CALLS = sizeof calls / sizeof *calls };

static const struct {
	const char *name;
	int number;
} errors[] = {
#define ERROR(name) {#name, name}
	ERROR(EIO), ERROR(ENOSPC), ERROR(EDQUOT), ERROR(EMFILE), ERROR(ENFILE), ERROR(ENOMEM),
	ERROR(EINTR), ERROR(EAGAIN), ERROR(ENOLCK), ERROR(EACCES), ERROR(EPERM), ERROR(EPIPE),
	ERROR(ECONNRESET), ERROR(ECONNREFUSED), ERROR(ETIMEDOUT), ERROR(ENOBUFS), ERROR(EROFS),
	ERROR(ENOSYS), ERROR(ENOENT), ERROR(EINVAL),
};

struct process {
	pid_t pid;
	int depth;           /* -1: its parent has not told us of it yet */
	int foreign;         /* it is another program by now */
	int leaving;         /* its call is being made, and will say it failed by this error */
};

struct fault {
	const char *name;
	int error, depth;
	long call;
	unsigned long nth;
};

/* What the disk refuses, from some call on. */
enum disk { WELL, FULL, DEAD };

static struct run {
	struct process process[PROCESSES];
	size_t count;
	unsigned long seen[DEPTHS][CALLS];
	unsigned long all, most;
	int started;
	FILE *trace;
	struct fault faults[FAULTS];
	size_t given, happened;
	enum disk disk;
	int killed;          /* all are, and who was being made just then is to be */
	long ends, heals;    /* by the clock, in milliseconds */
	long ill;            /* for so long */
} run = {.trace = NULL, .most = 100000, .ill = 1000};

static long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* That time passes is seen between two calls: a wait for one is interrupted. */
static void
on_alarm(int signal)
{
	(void)signal;
}

static void
trouble(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(TROUBLE);
}

/* --- processes --- */

static struct process *
find(pid_t pid)
{
	for (size_t n = 0; n < run.count; n++)
		if (run.process[n].pid == pid)
			return &run.process[n];
	return NULL;
}

static struct process *
add(pid_t pid, int depth, int foreign)
{
	if (run.count == PROCESSES) {
		fputs("inject: too many processes\n", stderr);
		exit(TROUBLE);
	}
	run.process[run.count] = (struct process){.pid = pid, .depth = depth, .foreign = foreign};
	return &run.process[run.count++];
}

static void
kill_all(void)
{
	for (size_t n = 0; n < run.count; n++)
		kill(run.process[n].pid, SIGKILL);
}

static void
go_on(pid_t pid, int request, int signal)
{
	/* Gone: we hear of it by its status. */
	if (ptrace(request, pid, NULL, (void *)(long)signal) && errno != ESRCH)
		trouble("ptrace");
}

/* It has ended, and tells of nobody any more: who waits for that does so no longer. */
static void
drop(pid_t pid)
{
	struct process *p = find(pid), gone;

	if (!p)
		return;
	gone = *p;
	*p = run.process[--run.count];
	for (size_t n = 0; n < run.count && gone.depth >= 0; n++) {
		p = &run.process[n];
		if (p->depth >= 0)
			continue;
		p->depth = gone.depth + (gone.depth < DEPTHS - 1);
		p->foreign = gone.foreign;
		go_on(p->pid, PTRACE_CONT, 0);
	}
}

/* --- what a call is about --- */

static size_t
peek(pid_t pid, unsigned long from, void *to, size_t len)
{
	struct iovec ours = {to, len}, theirs = {(void *)from, len};
	ssize_t n = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);

	return n < 0 ? 0 : (size_t)n;
}

static int
poke(pid_t pid, unsigned long to, const void *from, size_t len)
{
	struct iovec ours = {(void *)from, len}, theirs = {(void *)to, len};

	return process_vm_writev(pid, &ours, 1, &theirs, 1, 0) == (ssize_t)len ? 0 : -1;
}

/* Where the vector is whose first length is to be halved. */
static unsigned long
vector_of(pid_t pid, enum about about, const struct user_regs_struct *r)
{
	struct msghdr header;

	if (about == VECTOR)
		return r->rsi;
	return peek(pid, r->rsi, &header, sizeof header) == sizeof header ?
		(unsigned long)header.msg_iov : 0;
}

/* Does an SMTP message end in what is written? */
static int
has_dot(pid_t pid, const struct user_regs_struct *r)
{
	static char text[LOOK_MAX];
	size_t len = r->rdx < sizeof text ? r->rdx : sizeof text;

	len = peek(pid, r->rsi, text, len);
	return memmem(text, len, "\r\n.\r\n", 5) || (len >= 3 && memcmp(text, ".\r\n", 3) == 0);
}

/* A path in their memory may end anywhere in a page. */
static void
print_path(pid_t pid, unsigned long at)
{
	char path[PATH_MAX];
	size_t len = 0;

	while (len < sizeof path - 1 && peek(pid, at + len, path + len, 1) == 1 && path[len])
		len++;
	path[len] = '\0';
	fprintf(run.trace, " %s", path);
}

static void
print_fd(pid_t pid, long fd)
{
	char link[64], target[PATH_MAX];

	snprintf(link, sizeof link, "/proc/%d/fd/%ld", pid, fd);
	ssize_t n = readlink(link, target, sizeof target - 1);
	target[n < 0 ? 0 : n] = '\0';
	fprintf(run.trace, " %s", strncmp(target, "socket:", 7) ? target : "socket");
}

static void
print_about(pid_t pid, const struct call *c, const struct user_regs_struct *r)
{
	if (c->about == PATH)
		print_path(pid, r->rdi);
	else if (c->about == AT)
		print_path(pid, r->rsi);
	else if (c->about != NOTHING)
		print_fd(pid, (int)r->rdi);
	if ((c->number == SYS_write || c->number == SYS_sendto) && has_dot(pid, r))
		fputs(" dot", run.trace);
	if ((c->number == SYS_openat && (r->rdx & O_CREAT)) ||
	    (c->number == SYS_open && (r->rsi & O_CREAT)))
		fputs(" create", run.trace);
}

/* --- faults --- */

static void
set_registers(pid_t pid, const struct user_regs_struct *r)
{
	if (ptrace(PTRACE_SETREGS, pid, NULL, r) && errno != ESRCH)
		trouble("PTRACE_SETREGS");
}

static void
shorten(pid_t pid, enum about about, struct user_regs_struct *r)
{
	unsigned long at;
	struct iovec first;

	if (about == COUNT) {
		r->rdx -= r->rdx / 2;
		set_registers(pid, r);
	} else if ((at = vector_of(pid, about, r)) &&
		   peek(pid, at, &first, sizeof first) == sizeof first) {
		/* Whoever looks at his vector again sees that. */
		first.iov_len -= first.iov_len / 2;
		poke(pid, at, &first, sizeof first);
	}
}

static void
fail(pid_t pid, struct user_regs_struct *r, int error)
{
	r->orig_rax = (unsigned long)-1;
	r->rax = (unsigned long)-error;
	set_registers(pid, r);
}

/* True: the call's process is not to go on by itself. */
static int
break_call(struct process *p, const struct call *c, struct user_regs_struct *r,
	   const struct fault *f)
{
	if (strcmp(f->name, "kill") == 0) {
		run.killed = 1;
		kill_all();
		return 1;
	}
	if (strcmp(f->name, "killone") == 0) {
		kill(p->pid, SIGKILL);
		return 1;
	}
	if (strcmp(f->name, "short") == 0) {
		shorten(p->pid, c->about, r);
	} else if (c->number == SYS_close) {
		p->leaving = f->error;
		go_on(p->pid, PTRACE_SYSCALL, 0);
		return 1;
	} else {
		fail(p->pid, r, f->error);
	}
	return 0;
}

/* Does the descriptor lead to a file on the disk? */
static int
is_on_disk(pid_t pid, int fd)
{
	char link[64], target[8] = "";

	snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, fd);
	ssize_t n = readlink(link, target, sizeof target);
	return n > 0 && target[0] == '/' && strncmp(target, "/dev/", 5) &&
	       strncmp(target, "/memfd:", 7);
}

/* Is there a file that openat would not have to make? */
static int
is_there(pid_t pid, const struct user_regs_struct *r)
{
	char path[PATH_MAX], first;
	int fd = (int)r->rdi;
	size_t len = 0, n = 0;

	if (peek(pid, r->rsi, &first, 1) != 1 || first != '/')
		len = (size_t)(fd == AT_FDCWD ? snprintf(path, 64, "/proc/%d/cwd/", pid) :
						snprintf(path, 64, "/proc/%d/fd/%d/", pid, fd));
	for (; len < sizeof path - 1; len++, n++)
		if (peek(pid, r->rsi + n, path + len, 1) != 1 || !path[len])
			break;
	path[len] = '\0';
	return access(path, F_OK) == 0;
}

/* The error by which the disk refuses this call, or 0. */
static int
refusal(pid_t pid, const struct call *c, struct user_regs_struct r)
{
	int error = run.disk == FULL ? ENOSPC : EIO;

	switch (c->number) {
	case SYS_write:
	case SYS_writev:
	case SYS_pwrite64:
	case SYS_fallocate:
		return is_on_disk(pid, (int)r.rdi) ? error : 0;
	case SYS_mkdir:
	case SYS_mkdirat:
	case SYS_symlink:
	case SYS_link:
	case SYS_linkat:
		return error;
	case SYS_openat:
		return (r.rdx & O_CREAT) && !is_there(pid, &r) ? error : 0;
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_ftruncate:
	case SYS_fchmod:
	case SYS_fchown:
	case SYS_utimensat:
	case SYS_rename:
	case SYS_renameat:
	case SYS_renameat2:
	case SYS_unlink:
	case SYS_unlinkat:
		return run.disk == DEAD ? error : 0;
	}
	return 0;
}

static enum disk
disk_of(const struct fault *f)
{
	return strcmp(f->name, "full") == 0 ? FULL : strcmp(f->name, "dead") == 0 ? DEAD : WELL;
}

/* The fault that is to happen now, or NULL. */
static const struct fault *
find_fault(const struct process *p, long call, unsigned long nth)
{
	const struct fault *f = &run.faults[run.happened];

	return run.happened < run.given && p->depth == f->depth && call == f->call &&
	       nth == f->nth ? f : NULL;
}

static void
on_call(struct process *p)
{
	struct user_regs_struct r;
	size_t n = 0;

	if (ptrace(PTRACE_GETREGS, p->pid, NULL, &r)) {
		if (errno != ESRCH)
			trouble("PTRACE_GETREGS");
		return;
	}
	while (n < CALLS && calls[n].number != (long)r.orig_rax)
		n++;
	if (n == CALLS || p->foreign || !run.started) {
		go_on(p->pid, PTRACE_CONT, 0);
		return;
	}
	unsigned long nth = ++run.seen[p->depth][n];
	const struct fault *f = find_fault(p, (long)n, nth);
	if (f && disk_of(f)) {
		run.disk = disk_of(f);
		run.heals = now() + run.ill;
	}
	int error = run.disk ? refusal(p->pid, &calls[n], r) : 0;
	run.all++;
	if (run.trace) {
		fprintf(run.trace, "%lu %d %s %lu %s", run.all, p->depth, calls[n].name, nth,
			f ? "!" : error ? "x" : "-");
		print_about(p->pid, &calls[n], &r);
		putc('\n', run.trace);
	}
	if (error)
		fail(p->pid, &r, error);
	run.happened += f != NULL;
	if (error || !f || disk_of(f) || !break_call(p, &calls[n], &r, f))
		go_on(p->pid, PTRACE_CONT, 0);
}

/* After close. */
static void
on_return(struct process *p)
{
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, p->pid, NULL, &r) == 0) {
		r.rax = (unsigned long)-p->leaving;
		set_registers(p->pid, &r);
	}
	p->leaving = 0;
	go_on(p->pid, PTRACE_CONT, 0);
}

static void
on_fork(struct process *p)
{
	unsigned long message = 0;
	int depth = p->depth + 1, foreign = p->foreign;
	pid_t parent = p->pid;

	if (depth == DEPTHS)
		depth--;
	ptrace(PTRACE_GETEVENTMSG, parent, NULL, &message);
	struct process *child = find((pid_t)message);
	if (!child) {
		add((pid_t)message, depth, foreign);
	} else if (child->depth < 0) {
		child->depth = depth;
		child->foreign = foreign;
		go_on(child->pid, PTRACE_CONT, 0);
	}
	go_on(parent, PTRACE_CONT, 0);
}

static void
on_exec(struct process *p)
{
	if (run.started)
		p->foreign = 1;
	run.started = 1;
	go_on(p->pid, PTRACE_CONT, 0);
}

static void
on_stop(pid_t pid, int status)
{
	struct process *p = find(pid);
	int signal = WSTOPSIG(status);

	if (!p) {
		add(pid, -1, 0); /* waits until its parent tells of it */
		return;
	}
	switch (status >> 16) {
	case PTRACE_EVENT_SECCOMP: on_call(p); return;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE: on_fork(p); return;
	case PTRACE_EVENT_EXEC: on_exec(p); return;
	}
	if (p->leaving && signal == (SIGTRAP | 0x80))
		on_return(p);
	else /* SIGSTOP: a new one's first stop */
		go_on(pid, PTRACE_CONT, signal == SIGSTOP || signal == SIGTRAP ? 0 : signal);
}

/* Until there is none left. The first one's status. */
static int
follow(pid_t first)
{
	int status, result = -1, told = 0;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == ECHILD)
			break;
		if (run.disk && now() >= run.heals)
			run.disk = WELL;
		int late = now() >= run.ends;
		if (!told && (late || run.all > run.most)) {
			if (run.trace)
				fputs(late ? "hang\n" : "spin\n", run.trace);
			told = 1;
		}
		if (told || run.killed)
			kill_all();
		if (pid < 0)
			continue;
		if (WIFSTOPPED(status)) {
			on_stop(pid, status);
			continue;
		}
		drop(pid);
		if (pid == first)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	if (run.trace)
		fprintf(run.trace, "exit %d\n", result);
	return result;
}

/* --- the command --- */

/* Stops at what is in the table, before whatever filters the command gives itself. */
static void
install_filter(void)
{
	struct sock_filter code[CALLS + 3];
	struct sock_fprog program = {CALLS + 3, code};

	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       offsetof(struct seccomp_data, nr));
	for (unsigned n = 0; n < CALLS; n++)
		code[1 + n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(unsigned)calls[n].number, (unsigned char)(CALLS - n), 0);
	code[1 + CALLS] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[2 + CALLS] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	/* Root needs no such promise, which would be the command's as well. */
	if (geteuid())
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		trouble("seccomp");
}

static pid_t
start(char **argv)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD |
		PTRACE_O_EXITKILL;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		trouble("fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			trouble("PTRACE_TRACEME");
		raise(SIGSTOP);
		install_filter();
		execv(argv[0], argv);
		trouble(argv[0]);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		exit(TROUBLE);
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, options))
		trouble("PTRACE_SETOPTIONS");
	add(pid, 0, 0);
	go_on(pid, PTRACE_CONT, 0);
	return pid;
}

/* -k: "keep LENGTH", and that much. */
static int
keep(const char *path)
{
	static char text[1 << 20];
	enum { HEAD = 12 };
	size_t len = HEAD;
	ssize_t n;

	while ((n = read(0, text + len, sizeof text - len)) > 0)
		len += (size_t)n;
	snprintf(text, HEAD, "keep %06zu", len - HEAD);
	text[HEAD - 1] = '\n';
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
	return n == 0 && fd >= 0 && write(fd, text, len) == (ssize_t)len ? 0 : 75;
}

static struct fault *
add_fault(const char *name)
{
	struct fault *f = &run.faults[run.given];

	if (run.given++ == FAULTS) {
		fputs("inject: too many faults\n", stderr);
		exit(64);
	}
	*f = (struct fault){.name = name, .call = -1};
	for (size_t n = 0; n < sizeof errors / sizeof *errors; n++)
		if (strcmp(name, errors[n].name) == 0)
			f->error = errors[n].number;
	if (!f->error && strcmp(name, "kill") && strcmp(name, "killone") &&
	    strcmp(name, "short") && !disk_of(f)) {
		fprintf(stderr, "inject: no such fault: %s\n", name);
		exit(64);
	}
	return f;
}

static long
find_call(const char *name)
{
	for (long n = 0; n < CALLS; n++)
		if (strcmp(name, calls[n].name) == 0)
			return n;
	fprintf(stderr, "inject: not watched: %s\n", name);
	exit(64);
}

int
main(int argc, char **argv)
{
	struct fault none, *f = &none;
	const long start_time = now();
	int option;

	run.ends = start_time + 60000;
	while ((option = getopt(argc, argv, "+o:t:m:l:f:d:c:n:k:")) >= 0) {
		switch (option) {
		case 'o': run.trace = fopen(optarg, "we"); break;
		case 't': run.ends = start_time + 1000 * strtol(optarg, NULL, 10); break;
		case 'm': run.most = strtoul(optarg, NULL, 10); break;
		case 'l': run.ill = strtol(optarg, NULL, 10); break;
		case 'f': f = add_fault(optarg); break;
		case 'd': f->depth = (int)strtol(optarg, NULL, 10); break;
		case 'c': f->call = find_call(optarg); break;
		case 'n': f->nth = strtoul(optarg, NULL, 10); break;
		case 'k': return keep(optarg);
		default: return 64;
		}
	}
	if (optind == argc)
		return 64;
	/* Again and again, so that it is not missed between a look and a wait. */
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
	pid_t first = start(argv + optind);
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 100000}, {0, 100000}}, NULL);
	return follow(first);
}
#endif
