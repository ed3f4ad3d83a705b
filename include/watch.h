/* SPDX-License-Identifier: ISC */
/*
 * What the world says to the runner: names that change in the spool directory (inotify), and
 * signals. Without inotify a look at the directory every few seconds stands in for it.
 */
#ifndef WATCH_H
#define WATCH_H

#include "spool.h"

enum watch_event {
	WATCH_NAME,   /* Q<id> came into the queue, or was touched */
	WATCH_WAKE,   /* all is due now: runner was touched, or SIGHUP */
	WATCH_RESCAN, /* names were missed: look at the directory */
	WATCH_STOP,   /* SIGTERM, SIGINT */
};

/* id: of WATCH_NAME, else empty; touched: an operator wants it now. */
typedef void watch_tell(void *ctx, enum watch_event event, struct str id, bool touched);

struct watch {
	int names, signals; /* to poll for POLLIN; names is -1 without inotify */
	int64_t touched;    /* runner, as far as was told without it */
};

/* Begins to watch: everything that happens from now on is told. Takes SIGTERM, SIGINT and
 * SIGHUP over and ignores SIGPIPE and SIGXFSZ, which are errors of a write like any other. */
void watch_open(struct watch *w, const struct spool *s);
void watch_close(struct watch *w);

/* Where names is -1, every few seconds: tells that names may have come, or that runner was touched,
 * and begins to watch if that is possible by now. That a message was touched is not seen. */
void watch_look(struct watch *w, const struct spool *s, watch_tell *tell, void *ctx);

/* Tells what there is. Never waits. */
void watch_read(struct watch *w, watch_tell *tell, void *ctx);

#endif
