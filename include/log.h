/* SPDX-License-Identifier: ISC */
/*
 * Where words go: warnings and errors to standard error while a person may be there, events
 * to the log: a file if one is set, else syslog's socket, else as root the kernel's log; without any
 * of these, events are not kept. Owns the only mutable globals of the program: its name, its descriptors.
 * A format that ends in ':' gets strerror(errno) appended. What is no printable character of
 * UTF-8 becomes '?', so no input can write a second line, or steer a terminal. Never fails, never
 * changes errno.
 * A reader of standard error is waited for a second, and no more until he reads: what he has no
 * room for is dropped.
 */
#ifndef LOG_H
#define LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* The name in front of each line on standard error, and what stands for the role as long as
 * none is set: the applet's. Borrowed for ever, like the next three. */
void log_name(const char *name);
/* Instead of "mtabox" and of the applet's name: -L's. */
void log_tag(const char *tag);
/* What this process does, in the words of log tools; a line of the log begins with
 * "mtabox/qmgr[12]: ". */
void log_role(const char *role);
/* The machine's name, for the lines of a file. */
void log_host(const char *host);

/* Shows LOG_DEBUG and LOG_INFO on standard error as well (-v). */
void log_verbose(bool on);

/* What log_verbose would show goes to this file as well (-X; appended to, created 0600), NULL:
 * no more. -1 with errno: it cannot be opened. */
int log_session(const char *path);

/* Whether somebody wants to see the details. */
bool log_is_verbose(void);

/* Background: nothing to standard error from now on (unless verbose). */
void log_detach(void);

/* Opens the log: path (appended to, created 0600) or with NULL or "" the system's. Needed
 * before privileges are dropped; else the first event opens the system's. -1 with errno:
 * that path cannot be opened, and the system's log is used. */
int log_open(const char *path);

/* Opens it anew where it is not any more what path means: the file was renamed, as log rotation
 * does, or another one is meant; or where the system's was not there. */
void log_renew(const char *path);

/* The descriptors of the open log and of log_session's file, or -1: what a child that closes
 * all others keeps. */
int log_fd(void);
int log_session_fd(void);

void log_print(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_print(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_print(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)

/* Says why at LOG_ERROR and ends the process with a sysexits status, running nothing else:
 * whatever is on disk is what a crash here would leave. */
_Noreturn void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
