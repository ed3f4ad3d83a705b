/* SPDX-License-Identifier: ISC */
/*
 * The queue directory: its names, the order of steps that makes a commit durable, who may
 * touch a file, what is swept, how full it may get (DESIGN 3, which has the state table).
 *
 *	T<id>	draft: its writer holds the flock; unlocked, a crash left it
 *	Q<id>	queued; flocked, it is being delivered
 *	H<id>	held by an operator
 *	C<id>	cannot be parsed; kept
 *	runner	flocked by the one queue runner
 *
 * Whoever locks a file looks again whether the name still means it. Only the holder of a
 * claim appends, renames or unlinks.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "conf.h"
#include "journal.h"

#include <sys/types.h>

enum { SPOOL_ID = 16 }; /* characters of an id: 40 bits of seconds, 40 random, in base32 */

struct spool {
	int dir;                                /* -1: in memory */
	int memory;                             /* the message there, or -1 */
	bool shared;                            /* all users submit, by a set-gid program; only
						   root delivers, and sees what is not his own */
	uid_t uid;                              /* who we are */
	gid_t group;                            /* of the directory */
	uint64_t listing;                       /* bytes of the directory itself when it was
						   opened; 0: not known (any more) */
	const char *path;                       /* borrowed, for messages */
	uint64_t size_limit, count_limit, min_free;
};

/* Opens spooldir; creates it (0700, its parent must exist) where it is missing and we may.
 * It must be ours, and not for everybody to write to; or root's, shared: set-gid, for its group
 * to write to, which is the one that we have. 0; -1 with errno and *why: what is wrong
 * and the remedy. */
int spool_open(struct spool *s, const struct conf *c, struct buf *why);
void spool_close(struct spool *s);

/* Whether we may deliver what is in it. */
bool spool_may_run(const struct spool *s);

/* A spool for one message, in memory: for delivery while the caller waits, by whom the message
 * is still kept. Draft and claim work as in a directory; nothing outlives the process, and
 * what is appended goes nowhere. */
void spool_open_memory(struct spool *s);

/* Is there room for one more message? 0; -1 with the reason, numbers included, in *why. */
int spool_room(const struct spool *s, struct buf *why);

/* A message being written. */
struct spool_draft {
	int fd;                  /* T<id>, locked; write behind the position it has */
	char id[SPOOL_ID + 1];   /* the commit may choose another, if there is such a message */
	bool fixed;              /* the file begins with the fixed part as it shall be */
};

/* 0, or -1 with errno; nothing is left behind on failure. */
int spool_create(struct spool *s, const struct stamp *now, struct spool_draft *d);

/* The commit: fixed (ENVELOPE_FIXED bytes) over the file's start where it is not there yet,
 * fsync, rename to Q<id>, fsync of the directory, in this order. 0: the message is safe and
 * queued, the draft is closed. -1 with errno: nothing was queued (the name was taken back where the directory
 * could not be synced), draft removed. Among them EFBIG: an envelope over LIMIT_ENVELOPE. */
int spool_commit(struct spool *s, struct spool_draft *d, struct str fixed);

/* Takes the draft away again. */
void spool_abort(struct spool *s, struct spool_draft *d);

/* One message held for delivery or for an operator's verb; or just open for a listing. */
struct spool_claim {
	int fd;                  /* read-only, holds the flock */
	uint64_t size;           /* of the file, when it was locked; of a listing's, when opened */
	uint64_t log;            /* where the journal begins; 0: not read yet */
	int journal;             /* append only; -1 until the first append */
	char state;              /* 'Q', 'H' or 'C' */
	char id[SPOOL_ID + 1];
};

enum spool_result { SPOOL_OK, SPOOL_BUSY, SPOOL_GONE, SPOOL_ERROR };

/* Locks <state><id>. SPOOL_BUSY: another holds it; GONE: no such file (any more); ERROR with
 * errno: among them EINVAL for anything but a plain file of our own with one link. */
enum spool_result spool_claim(struct spool *s, char state, struct str id,
			      struct spool_claim *c);
void spool_release(struct spool_claim *c);

/* Reads envelope and journal. text and log are filled (log to the end of a line) and must
 * outlive *e and *j. 0; -1 with *why in words: with errno EINVAL it is not a message of ours,
 * with another one it could not be read this time. */
int spool_read(struct spool_claim *c, struct buf *text, struct buf *log,
	       struct envelope *e, struct journal *j, const char **why);

/* Opens the journal of the very file that is claimed, for spool_append, which does that where it has
 * not been done. 0, or -1 with errno: ENOENT as there, EROFS... */
int spool_open_journal(struct spool *s, struct spool_claim *c);

/* What an appended line is worth. */
enum spool_weight {
	SPOOL_NOTE,         /* may get lost */
	SPOOL_FINAL,        /* on disk when spool_append returns, and there is always room */
	SPOOL_SYNCED_NOTE,  /* on disk as well, but only while there is room for notes */
};

/* Appends lines; begins a new one where a crash left half a line. 0, or -1 with errno: what
 * was written is taken back where that is possible; where only the sync failed, the lines
 * stand and may or may not be on disk. EFBIG for a note: half of LIMIT_JOURNAL is used, which
 * leaves room for what must be written; before spool_read all of the file counts as journal.
 * ENOENT: somebody has removed or replaced the file. */
int spool_append(struct spool *s, struct spool_claim *c, struct str lines,
		 enum spool_weight weight);

/* Ends a message: unlinks it (gone already is fine) and releases the claim. The directory is not
 * synced: spool_sync does that for many. 0, or -1 with errno (still claimed). */
int spool_remove(struct spool *s, struct spool_claim *c);
int spool_sync(struct spool *s);

/* Renames to another state ('Q', 'H', 'C') and releases. 0, or -1 with errno. */
int spool_move(struct spool *s, struct spool_claim *c, char state);

/* After SPOOL_ERROR with EINVAL: whether its name means a plain file, which may become one that is
 * ours alone. Else spool_move is for it as well. Where it cannot be told, it is one. */
bool spool_is_file(const struct spool *s, const struct spool_claim *c);

/* The state of the message with that id. 0: there is none (ENOENT), or it is not known. */
char spool_find(const struct spool *s, struct str id);

/* A plain file of our own, opened for listing without a lock. 0, or -1 with errno. */
int spool_peek(struct spool *s, char state, struct str id, struct spool_claim *c);

/* The same, and spool_read, of one that is only listed: with *why NULL it cannot be opened, as
 * spool_peek says. Whose the file is, and by how many names, is asked only where no runner has
 * tried it: the one that did has looked, and who claims it next looks again. A user to whom not
 * all is shown is shown nothing without asking, and of what was set aside it is to be said why. */
int spool_show(struct spool *s, char state, struct str id, struct spool_claim *c, struct buf *text,
	       struct buf *log, struct envelope *e, struct journal *j, const char **why);

/* Calls visit with each message (Q, H, C; no draft), in the directory's order. visit may rename
 * and unlink. 0, or -1 with errno. */
int spool_walk(struct spool *s, void (*visit)(void *ctx, char state, struct str id), void *ctx);

/* Unlinks drafts that nobody holds; at any time. */
void spool_sweep(struct spool *s);

/* The runner's lock. SPOOL_OK: *fd holds it. wait: for its holder's end, however long that takes;
 * SPOOL_BUSY means then that a signal was caught. touch: creates it if missing and sets its
 * time: a running runner is woken. */
enum spool_result spool_lock_runner(struct spool *s, bool wait, int *fd);
int spool_touch_runner(struct spool *s);
int64_t spool_runner_time(const struct spool *s); /* another one after each touch */
/* The same for one message: due now. */
int spool_touch(struct spool *s, struct str id);

/* When id arrived by the wall clock of that time, from the id alone. */
int64_t spool_id_time(struct str id);
bool spool_is_id(struct str id);

#endif
