/* SPDX-License-Identifier: ISC */
#include "outcome.h"
#include "fmt.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

/* The class digit of each verdict. */
static const char class_of[] = {[TEMPFAIL] = '4', [DELIVERED] = '2', [PERMFAIL] = '5'};

/* The status that a number means: errno's, a reply's, an exit's. */
struct meaning {
	unsigned short number, subject, detail;
};

static const struct meaning errno_meanings[] = {
	{ENOSPC, 3, 1}, {EDQUOT, 2, 2}, {EFBIG, 2, 2}, {EACCES, 2, 0}, {EPERM, 2, 0},
	{ENOENT, 2, 0}, {ENOTDIR, 2, 0}, {EISDIR, 2, 0}, {ELOOP, 2, 0},
	{ECONNREFUSED, 4, 1}, {EHOSTUNREACH, 4, 1}, {ENETUNREACH, 4, 1}, {ETIMEDOUT, 4, 1},
	{ECONNRESET, 4, 2}, {EPIPE, 4, 2},
};

static const struct meaning reply_meanings[] = {
	{421, 3, 2}, {450, 2, 0}, {451, 3, 0}, {452, 3, 1}, {550, 1, 1}, {552, 3, 4},
	{553, 1, 3},
};

/* The exits that are permanent, as Postfix's pipe(8) has them. */
static const struct exit_meaning {
	struct meaning status;
	const char *words;
} exit_meanings[] = {
	{{EX_USAGE, 3, 5}, "command line usage error"},
	{{EX_DATAERR, 6, 0}, "data format error"},
	{{EX_NOUSER, 1, 1}, "user unknown"},
	{{EX_NOHOST, 1, 2}, "host name unknown"},
	{{EX_UNAVAILABLE, 3, 0}, "service unavailable"},
	{{EX_SOFTWARE, 3, 0}, "internal software error"},
	{{EX_CANTCREAT, 2, 0}, "cannot create output file"},
	{{EX_NOPERM, 7, 1}, "permission denied"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The bytes of the character at p, or 0 where none may stand in a line of UTF-8: a control
 * character, C1 ones included, a malformed or cut sequence (RFC 3629). Ends at the NUL. */
static size_t
character(const unsigned char *p)
{
	if (*p < 0x80)
		return !str_is_control((char)*p);
	size_t len = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
	if (*p < 0xc2 || *p > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if (p[i] >> 6 != 2)
			return 0;
	bool bad = (*p == 0xc2 && p[1] < 0xa0) || (*p == 0xe0 && p[1] < 0xa0) ||
		   (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
		   (*p == 0xf4 && p[1] > 0x8f);
	return bad ? 0 : len;
}

/* Makes text one line of UTF-8. cut: it was longer, and ends in "..." between characters. */
static void
clean(char text[static LIMIT_OUTCOME_TEXT], bool cut)
{
	size_t i = 0, end = LIMIT_OUTCOME_TEXT - sizeof "...";

	while (text[i]) {
		size_t n = character((const unsigned char *)text + i);
		if (n == 0) {
			text[i] = '?';
			n = 1;
		}
		if (cut && i + n > end) {
			memcpy(text + i, "...", sizeof "...");
			return;
		}
		i += n;
	}
}

static struct outcome
make(enum verdict verdict, unsigned subject, unsigned detail, const char *fmt, va_list ap)
{
	struct outcome o = {
		.verdict = verdict,
		.subject = (unsigned short)subject,
		.detail = (unsigned short)detail,
	};

	size_t n = fmt_vprint(o.text, sizeof o.text, fmt, ap);
	clean(o.text, n >= sizeof o.text);
	return o;
}

struct outcome
outcome_make(enum verdict verdict, unsigned subject, unsigned detail, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	struct outcome o = make(verdict, subject, detail, fmt, ap);
	va_end(ap);
	return o;
}

static void
look_up(const struct meaning *table, size_t count, unsigned number, struct outcome *o)
{
	for (size_t i = 0; i < count; i++) {
		if (table[i].number == number) {
			o->subject = table[i].subject;
			o->detail = table[i].detail;
		}
	}
}

struct outcome
outcome_from_errno(int err, const char *what)
{
	struct outcome o = outcome_make(TEMPFAIL, 3, 0, "%s: %s", what, strerror(err));

	look_up(errno_meanings, COUNT(errno_meanings), (unsigned)err, &o);
	return o;
}

struct outcome
outcome_from_file(int err, const char *doing, const char *path)
{
	char what[LIMIT_OUTCOME_TEXT];

	fmt_print(what, sizeof what, "%s %s", doing, path);
	return outcome_from_errno(err, what);
}

struct outcome
outcome_from_reply(unsigned code, struct str text)
{
	unsigned first = code / 100;
	struct outcome o = {
		.verdict = first == 2 ? DELIVERED : first == 5 ? PERMFAIL : TEMPFAIL,
	};
	struct outcome said = o;
	struct str rest = text;

	look_up(reply_meanings, COUNT(reply_meanings), code, &o);
	/* 2.x.x beside a 550 is not the server's opinion of anything. */
	if (outcome_parse_status(str_cut(&rest, ' '), &said) == 0 &&
	    said.verdict == o.verdict && first != 3) {
		o = said;
		text = rest;
	}
	text = str_trim(text);
	if (text.len == 0 && first != 2)
		text = STR("the server gave no reason");
	o = outcome_make(o.verdict, o.subject, o.detail, "%.*s", STR_ARG(text));
	o.code = (unsigned short)code;
	return o;
}

bool
outcome_is_login(const struct outcome *o)
{
	switch (o->code) {
	case 530:
	case 534:
	case 535:
	case 538:
		return true;
	}
	return o->code >= 500 && o->subject == 7 && o->detail >= 8 && o->detail <= 11;
}

struct outcome
outcome_from_exit(int wait_status, const char *what)
{
	if (!WIFEXITED(wait_status))
		return outcome_make(TEMPFAIL, 3, 0, "%s: killed by signal %d", what,
				    WTERMSIG(wait_status));
	unsigned status = WEXITSTATUS(wait_status);
	if (status == 0)
		return outcome_make(DELIVERED, 0, 0, "delivered to %s", what);
	for (size_t i = 0; i < COUNT(exit_meanings); i++) {
		const struct exit_meaning *m = &exit_meanings[i];
		if (m->status.number == status)
			return outcome_make(PERMFAIL, m->status.subject, m->status.detail,
					    "%s: %s", what, m->words);
	}
	return outcome_make(TEMPFAIL, 3, 0, "%s: %s %u", what,
			    status == EX_TEMPFAIL ? "temporary failure, exit status" :
						    "exit status", status);
}

int
outcome_sysexit(const struct outcome *o)
{
	if (o->verdict == DELIVERED)
		return EX_OK;
	if (o->verdict != PERMFAIL)
		return EX_TEMPFAIL;
	if (o->subject == 1 && o->detail == 1)
		return EX_NOUSER;
	return o->subject == 7 ? EX_NOPERM : EX_UNAVAILABLE;
}

int
outcome_final_sysexit(const struct outcome *o)
{
	bool login = outcome_is_login(o) || (o->code == 0 && o->subject == 7);

	return login ? EX_NOPERM : outcome_sysexit(o);
}

void
outcome_print_status(const struct outcome *o, struct buf *out)
{
	buf_print(out, "%c.%u.%u", class_of[o->verdict], o->subject, o->detail);
}

void
outcome_print_reply(const struct outcome *o, struct buf *out)
{
	if (o->code)
		buf_print(out, "%u ", (unsigned)o->code);
	outcome_print_status(o, out);
}

/* Takes a dot and one to three digits off *s. */
static bool
take_part(struct str *s, unsigned *value)
{
	struct str in = *s;
	size_t n = 1, digit;
	unsigned v = 0;

	if (in.len == 0 || in.ptr[0] != '.')
		return false;
	for (; n < in.len && n < 4 && (digit = (unsigned char)in.ptr[n] - (size_t)'0') <= 9; n++)
		v = v * 10 + (unsigned)digit;
	*value = v;
	*s = str_from(in, n);
	return n > 1;
}

int
outcome_parse_status(struct str s, struct outcome *o)
{
	const char *verdict = s.len > 0 ? memchr(class_of, s.ptr[0], sizeof class_of) : NULL;
	struct str rest = str_from(s, 1);
	unsigned subject, detail;

	if (!verdict || !take_part(&rest, &subject) || !take_part(&rest, &detail) || rest.len > 0)
		return -1;
	o->verdict = (enum verdict)(verdict - class_of);
	o->subject = (unsigned short)subject;
	o->detail = (unsigned short)detail;
	return 0;
}

const char *
outcome_word(const struct outcome *o)
{
	static const char *const words[] = {
		[TEMPFAIL] = "deferred", [DELIVERED] = "sent", [PERMFAIL] = "bounced",
	};

	return words[o->verdict];
}
