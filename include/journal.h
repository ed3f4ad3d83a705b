/* SPDX-License-Identifier: ISC */
/*
 * The history of a message's deliveries: one appended line for each event, each ending in a
 * CRC-32, of the message's id and the line: what a power cut leaves of another message in a
 * block that was its own is no line of this one. (Of the line alone in version 1 of the
 * envelope.) The state of a message is a fold over its lines. A line whose checksum fails, or
 * that says what cannot be, is skipped wherever it stands; one that lacks only its LF is
 * whole. Line form:
 *
 *	EVENT WALL BOOT BOOT_ID BELIEVABLE RCPTS ARGUMENTS CRC
 *	facts 1795341235 86401001 5f3a9c0d11e2b3a4 1 * 1795341235 k2u9…@router router 5e1d0a77
 *	deferred 1795341236 86402123 5f3a9c0d11e2b3a4 1 0,2-4 4.4.1 0 connection refused 7a3b9c01
 *	sent 1795341301 86467123 5f3a9c0d11e2b3a4 1 0 2.0.0 250 ok queued as 12345 0badcafe
 *	passed 1795341301 86467123 5f3a9c0d11e2b3a4 1 1 2.0.0 250 ok queued as 12346 5ca1ab1e
 *	failed 1795341301 86467123 5f3a9c0d11e2b3a4 1 2-3 5.1.1 550 no such user 11223344
 *	mailbox 1795341301 86467123 5f3a9c0d11e2b3a4 1 4 2049 131083 40960 a0b1c2d3
 *	bounce 1795341302 86468000 5f3a9c0d11e2b3a4 1 2-3 alice@router.example 99887766
 *	warning 1795355640 100805123 5f3a9c0d11e2b3a4 1 * 1795773234 alice@router.example 4d5e6f70
 *	expand 1795341303 86469000 5f3a9c0d11e2b3a4 1 5 alias-part 22 robot 31d2a6f0
 *	expand 1795341303 86469000 5f3a9c0d11e2b3a4 1 5 address bob@mail.example 5b7c9d01
 *	held 1795341304 86470000 5f3a9c0d11e2b3a4 1 * 6c8d0e12
 *	released 1795341305 86471000 5f3a9c0d11e2b3a4 1 * 7d9e1f23
 *
 * RCPTS are indices: the envelope's recipients in order, then one for each bounce and each
 * recipient that another one was expanded to; "*" is all that are pending at that point. sent
 * and failed are final: a later line changes them no more. passed is sent, to a server that
 * tells the sender of success, who asked for that. A bounce is any report to the sender, of
 * success too, and names what it covers; "*" is no answer there. A warning is a bounce that
 * tells of delay: once, and of all that wait for the message at that point and whose delay the
 * sender wants to hear of ("*"); when the queue will give up, by the wall clock, or 0.
 *
 * An expansion is a line for each recipient that takes the place of one, and then, when those are
 * on disk, the line that says "sent" of that one. Where it is torn and made again, or two ways
 * lead to one recipient, that one is there once. What was asked of the one that is
 * expanded is asked of those who take its place; of success the message itself reports that it
 * was expanded, unless that is to one recipient alone (RFC 3461 5.2.7).
 *
 * The runner holds what it can tell nobody of: that is so as long as "held" is the last line.
 * An operator who releases such a message adds "released" first.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "envelope.h"
#include "outcome.h"

enum journal_fate { JOURNAL_PENDING, JOURNAL_SENT, JOURNAL_FAILED };

/* What a bounce tells of. */
enum journal_news { JOURNAL_FAILURE, JOURNAL_SUCCESS, JOURNAL_DELAY };

/* What is to be done for a recipient. */
enum journal_kind {
	JOURNAL_ADDRESS,      /* the aliases file has nothing more to say of it */
	JOURNAL_ALIAS,        /* where it is local: to be expanded by the aliases file */
	JOURNAL_MAILBOX,      /* the mailbox of that user, whatever his .forward says */
	JOURNAL_ALIAS_PART,   /* a command or file of that entry of the aliases file: alias_part */
	JOURNAL_FORWARD_PART, /* the same of that user's .forward */
};

struct journal_rcpt {
	struct str address;      /* or a name without domain: never a command's text */
	enum journal_kind kind;
	unsigned part;           /* of a PART, alias_part.id; else 0 */
	enum journal_fate fate;
	struct notify notify;    /* what the sender wants to be told of it */
	bool reported;           /* a bounce covers it, or another server tells of its success */
	bool has_mailbox;        /* a local delivery began: these three say where */
	uint64_t device, inode, start;
	uint32_t attempts;       /* deferrals so far */
	uint32_t bounce;         /* is sent a bounce: 1 + its number; 0: is sent the message */
	uint32_t parent;         /* was expanded to this one: 1 + its index; 0: nobody was */
	uint32_t expanded;       /* to so many others: what becomes of it is theirs to say */
	struct str last;         /* of the newest verdict: "4.4.1 0 connection refused" */
	struct stamp last_at;    /* when that was; arrival before the first */
	uint32_t namesake;       /* journal.c's own: see slots */
};

/* A recipient at the time of the warning: what came later must not change its text. */
struct journal_delay {
	uint32_t rcpt;
	struct str last;
	struct stamp last_at;
};

struct journal {
	struct journal_rcpt *rcpts;
	size_t count, cap;       /* envelope recipients, then as their lines came */
	struct str *covers;      /* for each bounce: the RCPTS it reports */
	int64_t *bounce_ages;    /* for each bounce: the age when it was added */
	size_t bounce_count;
	uint32_t warning;        /* the bounce that tells of delay: 1 + its number; 0: none */
	struct journal_delay *delays; /* of whom it tells */
	size_t delay_count;
	int64_t give_up;         /* what it says of that; 0: not known */
	bool has_facts;          /* the first attempt has fixed what is sent */
	int64_t date;            /* for an added Date */
	struct str message_id;   /* for an added Message-ID, without <> */
	struct str host;         /* our name at that time */
	struct stamp newest;     /* of the last line believed, or the arrival */
	int64_t age;             /* seconds from arrival to newest, as far as known */
	size_t skipped;          /* lines not believed */
	bool deaf;               /* nobody is told of success: there is no sender, or a bounce
				    to him has failed */
	bool held;               /* by the runner, if it is held */
	/* The rest is journal.c's own. */
	uint32_t origin;         /* CRC-32 of the id */
	int64_t awake;           /* seconds of the age that boot clocks have seen */
	int64_t off;             /* and those between boots, as far as believed */
	bool dated;              /* a boot has ended with a believable wall clock: */
	int64_t born, born_last; /* the arrival as the first and the last such boot had it */
	uint32_t *slots;         /* by hash: 1 + index of the newest recipient; then by namesake */
	size_t hashed;           /* recipients that are in slots */
};

/* Folds text over e's recipients. id: the message's, or "" for lines that are bound to none.
 * text and e must outlive *j. Never fails: what cannot be read is skipped and counted. */
void journal_fold(struct str text, struct str id, const struct envelope *e, struct journal *j);
void journal_free(struct journal *j);

/* The same for lines that come behind all those folded so far: text must outlive *j, too. */
void journal_fold_more(struct journal *j, struct str text);

/* Seconds from arrival to now, as far as known: what boot clocks have seen, and of each time
 * between two boots LIMIT_TIME_OFF at most. One that only the wall clock of this boot tells of
 * does not count before the next. A clock that was wrong for a while leaves no trace once it is
 * right. */
int64_t journal_age(const struct journal *j, const struct stamp *now);

/* The same since r is a recipient: a bounce has an age of its own. */
int64_t journal_rcpt_age(const struct journal *j, const struct journal_rcpt *r,
			 const struct stamp *now);

/* Recipients still pending / of whom somebody is still to be told. */
size_t journal_pending(const struct journal *j);
size_t journal_owed(const struct journal *j);
/* Whether r is one of the latter. */
bool journal_owes(const struct journal *j, const struct journal_rcpt *r);
/* Whether a warning may be sent: there was none, and there is a sender who can be reached. */
bool journal_may_warn(const struct journal *j);
/* Whether one that is sent now would tell of r. */
bool journal_warns_of(const struct journal_rcpt *r);
/* What the bounce that r is sent tells of. If one fails that tells of no failure, so be it. */
enum journal_news journal_news(const struct journal *j, const struct journal_rcpt *r);
/* Those of whom it tells, as they were then. */
typedef void journal_visit(void *ctx, const struct journal_rcpt *r);
void journal_visit_told(const struct journal *j, const struct journal_rcpt *r,
			journal_visit *visit, void *ctx);

/* True where recipient n, or one that was expanded to it, and so on, is of that kind and has
 * that address: to expand n to that would lead round in a circle. */
bool journal_has_ancestor(const struct journal *j, size_t n, enum journal_kind kind,
			  struct str address);

/* "0,2-4" for the indices whose mark[i] != 0, of which there is at least one. With star "*" when
 * those are all that are pending and no others: not for what is final, since with a line before
 * it that rots later, that would be of others as well. */
void journal_print_set(const struct journal *j, const unsigned char *mark, bool star,
		       struct buf *out);
/* Sets mark[i] for each index of a printed set ("*": all pending). 0; -1: malformed or out
 * of range, mark then undefined. */
int journal_parse_set(struct str set, const struct journal *j, unsigned char *mark);

/* Append one line for j, checksum and LF included, to *out. set: as printed by journal_print_set.
 * One too long for a line is spread over several: of a bounce too, which is then several. */
void journal_print_facts(const struct journal *j, const struct stamp *now, int64_t date,
			 struct str message_id, struct str host, struct buf *out);
/* sent, deferred or failed as o says; the line of a deferral is at most LIMIT_DEFERRAL_LINE
 * long, others LIMIT_JOURNAL_LINE: the outcome's words are cut to fit, between two of them,
 * and end in "..."; the set never. */
void journal_print_outcome(const struct journal *j, const struct stamp *now,
			   struct str set, const struct outcome *o, struct buf *out);
void journal_print_mailbox(const struct journal *j, const struct stamp *now, size_t rcpt,
			   uint64_t device, uint64_t inode, uint64_t start,
			   struct buf *out);
void journal_print_bounce(const struct journal *j, const struct stamp *now,
			  struct str set, struct str address, struct buf *out);
void journal_print_warning(const struct journal *j, const struct stamp *now,
			   int64_t give_up, struct str address, struct buf *out);
/* rcpt stands for this one (part: 0 but for a PART), which is one of its place's only if no
 * other, not itself expanded, is sent the same in the same way. rcpt must be pending. */
void journal_print_expand(const struct journal *j, const struct stamp *now, size_t rcpt,
			  enum journal_kind kind, unsigned part, struct str address,
			  struct buf *out);

void journal_print_held(const struct journal *j, const struct stamp *now, bool held,
			struct buf *out);

/* One line, without its LF, in words: "2026-11-22 10:57:16 deferred 0,2-4 4.4.1 0 connection
 * refused". One that is not believed is said to be, and stands as it is. */
void journal_print_event(const struct journal *j, struct str line, struct buf *out);

/* A recipient's newest verdict as an outcome; the zero outcome before any. */
struct outcome journal_outcome(const struct journal_rcpt *r);

#endif
