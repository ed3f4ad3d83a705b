/* SPDX-License-Identifier: ISC */
#include "alias.h"
#include "codec.h"
#include "limit.h"

#include <stdlib.h>
#include <string.h>

/* Blank, or a comment. */
static bool
is_idle(struct str line)
{
	struct str s = str_trim(line);

	return s.len == 0 || s.ptr[0] == '#';
}

static bool
continues(struct str line)
{
	return str_is_blank(line.ptr[0]) || is_idle(line);
}

static struct str
first_line(struct str text)
{
	return str_upto(text, str_find(text, '\n'));
}

/* Index of the first c outside quotes, or s.len. */
static size_t
find_bare(struct str s, char c)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			quoted = !quoted;
		else if (s.ptr[i] == c && !quoted)
			return i;
	}
	return s.len;
}

/* The targets of an entry, one after the other. */
struct targets {
	struct str line, rest; /* what is left of this line; the lines behind it */
	unsigned number;       /* of this line */
};

static struct targets
targets_of(const struct alias_entry *e)
{
	return (struct targets){.rest = e->targets, .number = e->line - 1};
}

/* Takes the next target, which a comma or its line ends. False: there is none. */
static bool
next_target(struct targets *t, struct str *target)
{
	do {
		while (t->line.len == 0 && t->rest.len > 0) {
			t->line = str_cut(&t->rest, '\n');
			t->number++;
			if (is_idle(t->line))
				t->line.len = 0;
		}
		if (t->line.len == 0)
			return false;
		size_t n = find_bare(t->line, ',');
		*target = str_trim(str_upto(t->line, n));
		t->line = str_from(t->line, n + 1);
	} while (target->len == 0);
	return true;
}

/* What a target is. */
enum kind {
	BAD,
	ADDRESS,
	MAILBOX, /* "\\user" */
	INCLUDE, /* ":include:/list" */
	SPECIAL, /* "|command", "/file" */
};

/* One quoted string and nothing else, which is a local part as well. */
static bool
is_quoted(struct str s)
{
	return s.len > 0 && s.ptr[0] == '"' && addr_local(s).len == s.len;
}

static void
unquote(struct str s, struct buf *out)
{
	if (is_quoted(s))
		addr_print_user(s, out);
	else
		buf_str(out, s);
}

/* Whether a target begins with that mark. Then *text becomes the target without the quotes
 * around all of it, or around what stands behind the mark: both are written. */
static bool
take_marked(struct str target, struct str mark, struct buf *text)
{
	text->len = 0;
	unquote(target, text);
	if (!str_istarts(buf_view(text), mark))
		return false;
	if (!is_quoted(target)) {
		text->len = 0;
		buf_str(text, mark);
		unquote(str_trim(str_from(target, mark.len)), text);
	}
	return true;
}

/* No command, file name or path may hold a NUL, and none has use for other controls. */
static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (str_is_control(s.ptr[i]) && s.ptr[i] != '\t')
			return true;
	return false;
}

static enum kind
check_marked(enum kind kind, struct str content, const char **why)
{
	if (str_trim(content).len == 0)
		*why = "no command or path";
	else if (has_control(content))
		*why = "a control character";
	else if (kind == INCLUDE && content.ptr[0] != '/')
		*why = "a path that does not begin with '/'";
	else
		return kind;
	return BAD;
}

static enum kind
read_address(struct str target, struct buf *address, const char **why)
{
	bool mailbox = target.ptr[0] == '\\';

	address->len = 0;
	if (addr_parse(str_from(target, mailbox), address, why))
		return BAD;
	/* "mail/all", meant as a file: there is no such user, and the mail would bounce. */
	struct str s = buf_view(address);
	*why = "a path that does not begin with '/'";
	if (addr_domain(s).len == 0 && str_find(s, '/') < s.len)
		return BAD;
	return mailbox ? MAILBOX : ADDRESS;
}

/* What a target is; *text becomes its canonical address, its path, or "|command" or "/file"
 * as meant. BAD: it cannot be used, *why in words. */
static enum kind
read_target(struct str target, struct buf *text, const char **why)
{
	const struct str list = STR(":include:");

	if (take_marked(target, STR("|"), text))
		return check_marked(SPECIAL, buf_tail(text, 1), why);
	if (take_marked(target, STR("/"), text))
		return check_marked(SPECIAL, buf_view(text), why);
	if (!take_marked(target, list, text))
		return read_address(target, text, why);
	text->len -= list.len;
	memmove(text->ptr, text->ptr + list.len, text->len);
	return check_marked(INCLUDE, buf_view(text), why);
}

struct parser {
	struct alias_file *file;
	alias_complain *complain;
	void *ctx;
};

static void
complain(struct parser *p, unsigned line, const char *what, struct str piece)
{
	p->file->errors++;
	p->complain(p->ctx, line, what, piece);
}

/* The number of targets; complains of those that cannot be used. */
static size_t
check_targets(struct parser *p, struct alias_entry *e)
{
	struct targets t = targets_of(e);
	struct buf text = {0};
	struct str target;
	const char *why;
	size_t count = 0;

	e->plain = true;
	for (; next_target(&t, &target); count++) {
		enum kind kind = read_target(target, &text, &why);
		if (kind == BAD)
			complain(p, t.number, why, target);
		e->plain = e->plain && (kind == ADDRESS || kind == MAILBOX);
	}
	buf_free(&text);
	return count;
}

static void
add_entry(struct alias_file *file, const struct alias_entry *e, size_t targets)
{
	if (file->count == file->cap) {
		file->cap = file->cap ? file->cap * 2 : 16;
		file->entries = buf_array(file->entries, file->cap, sizeof *file->entries);
	}
	file->entries[file->count++] = *e;
	file->targets += targets;
	addr_set_add(&file->names, e->name);
}

/* An entry with the lines that continue it. */
static void
parse_record(struct parser *p, struct str record, unsigned number)
{
	struct str line = first_line(record);
	size_t colon = find_bare(line, ':');
	struct alias_entry e = {
		.name = str_trim(str_upto(line, colon)),
		.targets = str_from(record, colon + 1),
		.line = number,
	};

	if (e.name.len > 1 && e.name.ptr[0] == '"' && e.name.ptr[e.name.len - 1] == '"')
		e.name = str_upto(str_from(e.name, 1), e.name.len - 2);
	if (str_is_blank(line.ptr[0])) {
		complain(p, number, "nothing that this line could continue", str_trim(line));
	} else if (colon == line.len) {
		complain(p, number, line.ptr[0] == '"' ? "a quote without its end, or no colon"
						       : "no colon", str_trim(line));
	} else if (e.name.len == 0) {
		complain(p, number, "no name", str_trim(line));
	} else if (addr_set_find(&p->file->names, e.name) < p->file->count) {
		complain(p, number, "defined before, which counts", e.name);
	} else {
		size_t targets = check_targets(p, &e);
		if (targets > 0)
			add_entry(p->file, &e, targets);
		else
			complain(p, number, "no targets", e.name);
	}
}

void
alias_parse(struct alias_file *file, struct str text, alias_complain *tell, void *ctx)
{
	struct parser p = {file, tell, ctx};
	unsigned number = 1;

	*file = (struct alias_file){0};
	while (text.len > 0) {
		struct str record = text;
		unsigned lines = 0;
		bool idle = is_idle(first_line(text));
		do {
			str_cut(&text, '\n');
			lines++;
		} while (!idle && text.len > 0 && continues(first_line(text)));
		record = str_upto(record, record.len - text.len);
		if (!idle)
			parse_record(&p, record, number);
		number += lines;
	}
}

void
alias_parse_forward(struct alias_file *file, struct str text, struct str user)
{
	struct alias_entry e = {.name = user, .targets = text, .line = 1};
	struct targets t = targets_of(&e);
	struct str target;

	*file = (struct alias_file){.forward = true};
	if (next_target(&t, &target))
		add_entry(file, &e, 0);
}

void
alias_free(struct alias_file *file)
{
	buf_release(file->entries);
	addr_set_free(&file->names);
	*file = (struct alias_file){0};
}

void
alias_found_free(struct alias_found *found)
{
	addr_set_free(&found->addresses);
	addr_set_free(&found->left);
	buf_release(found->parts);
	*found = (struct alias_found){0};
}

/* The entry that a local user's mail goes by, or file->count. */
static size_t
find_entry(const struct alias_file *file, struct str user)
{
	size_t i = addr_set_find(&file->names, user);

	if (i == file->count)
		i = addr_set_find(&file->names, str_upto(user, str_find(user, '+')));
	if (i == file->count)
		i = addr_set_find(&file->names, STR("*"));
	return i;
}

bool
alias_has(const struct alias_file *file, struct str address)
{
	struct buf user = {0};

	addr_print_user(address, &user);
	bool has = find_entry(file, buf_view(&user)) < file->count;
	buf_free(&user);
	return has;
}

/* An entry: not met yet, on the way to the target at hand, expanded. */
enum { NEW, OPEN, DONE };

struct walk {
	const struct alias_file *file;
	alias_is_local *is_local;
	alias_include *include; /* NULL: as mail comes in */
	void *ctx;
	struct alias_found *found;
	struct buf *why;
	struct buf text, user;
	size_t included;        /* bytes, in pages */
	char *state;            /* of each entry */
};

/* Where targets come from: an entry, or a file that is included. */
struct place {
	struct targets targets;
	const struct alias_entry *entry; /* or NULL */
	struct str path;                 /* or empty */
	const struct place *from;
	unsigned depth;
};

static enum alias_result expand(struct walk *w, struct place *p);

static enum alias_result
unusable(struct walk *w, const struct place *p, const char *what)
{
	w->why->len = 0;
	if (p->path.len > 0)
		buf_print(w->why, "%.*s ", STR_ARG(p->path));
	buf_print(w->why, "line %u: %s", p->targets.number, what);
	return ALIAS_UNUSABLE;
}

static enum alias_result
check_count(const struct walk *w)
{
	const struct alias_found *f = w->found;
	size_t count = f->addresses.count + f->left.count + f->part_count;

	return count > LIMIT_ALIAS_FANOUT ? ALIAS_TOO_MANY : ALIAS_EXPANDED;
}

static enum alias_result
add(struct walk *w, struct addr_set *set, struct str address)
{
	addr_set_add(set, address);
	return check_count(w);
}

static enum alias_result
expand_entry(struct walk *w, size_t index, struct str local, const struct place *from)
{
	const struct alias_entry *e = &w->file->entries[index];
	enum alias_result result;
	struct place p = {
		.targets = targets_of(e), .entry = e, .from = from,
		.depth = from ? from->depth + 1 : 0,
	};

	if (!w->include && !e->plain) {
		result = add(w, &w->found->left, local);
	} else {
		w->state[index] = OPEN;
		result = expand(w, &p);
	}
	w->state[index] = DONE;
	return result;
}

/* w->text is a target's address. */
static enum alias_result
take_address(struct walk *w, const struct place *p, bool final)
{
	struct str address = buf_view(&w->text), domain = addr_domain(address);

	if (domain.len > 0 && !w->is_local(w->ctx, domain))
		return add(w, &w->found->addresses, address);
	address = addr_local(address);
	w->user.len = 0;
	addr_print_user(address, &w->user);
	size_t next = final ? w->file->count : find_entry(w->file, buf_view(&w->user));
	if (next == w->file->count)
		return add(w, w->file->forward && !final ? &w->found->left :
			   &w->found->addresses, address);
	if (w->state[next] == OPEN)
		return add(w, &w->found->addresses, address);
	return w->state[next] == NEW ? expand_entry(w, next, address, p) : ALIAS_EXPANDED;
}

static unsigned
part_id(const struct buf *text)
{
	uint32_t checksum = codec_crc32(0, buf_view(text));

	return checksum ? checksum : 1;
}

/* w->text is the part's. */
static enum alias_result
add_part(struct walk *w, struct place *p)
{
	struct alias_found *f = w->found;

	if (!p->entry)
		return unusable(w, p, "a command or file in a list that is included");
	if ((f->part_count & (f->part_count - 1)) == 0)
		f->parts = buf_array(f->parts, 2 * f->part_count + 1, sizeof *f->parts);
	f->parts[f->part_count++] = (struct alias_part){p->entry, part_id(&w->text)};
	return check_count(w);
}

/* A list that leads to itself adds nothing by that. */
static bool
is_open(const struct place *p, struct str path)
{
	while (p && !str_eq(p->path, path))
		p = p->from;
	return p != NULL;
}

/* w->text is a path. */
static enum alias_result
include(struct walk *w, const struct place *from)
{
	enum { PAGE = 4096 };
	enum alias_result result;
	struct buf path = {0}, text = {0};

	buf_str(&path, buf_view(&w->text));
	struct place p = {
		.path = buf_view(&path), .from = from, .depth = from->depth + 1,
	};
	int err = is_open(from, p.path) ? 0 : w->include(w->ctx, p.path, &text);
	if (err) {
		result = unusable(w, from, "cannot read ");
		buf_print(w->why, "%.*s: %s", STR_ARG(p.path), strerror(err));
	} else {
		p.targets.rest = buf_view(&text);
		/* One that is short costs a page all the same: so their number is bounded. */
		w->included += text.len < PAGE ? PAGE : text.len;
		result = w->included > LIMIT_ALIAS_INCLUDE ? ALIAS_TOO_MANY : expand(w, &p);
	}
	buf_free(&path);
	buf_free(&text);
	return result;
}

static enum alias_result
take_target(struct walk *w, struct place *p, struct str target)
{
	const char *why;
	enum kind kind = read_target(target, &w->text, &why);

	switch (kind) {
	case INCLUDE:
		return include(w, p);
	case SPECIAL:
		return add_part(w, p);
	case ADDRESS:
	case MAILBOX:
		return take_address(w, p, kind == MAILBOX);
	case BAD:
		break;
	}
	return unusable(w, p, why);
}

/* Every entry is expanded once, whatever the file looks like. */
static enum alias_result
expand(struct walk *w, struct place *p)
{
	enum alias_result result = ALIAS_EXPANDED;
	struct str target;

	if (p->depth > LIMIT_ALIAS_DEPTH)
		return ALIAS_TOO_MANY;
	while (result == ALIAS_EXPANDED && next_target(&p->targets, &target))
		result = take_target(w, p, target);
	return result;
}

static enum alias_result
begin(struct walk *w, struct str address)
{
	enum alias_result result = ALIAS_NONE;

	*w->found = (struct alias_found){0};
	addr_print_user(address, &w->user);
	size_t index = find_entry(w->file, buf_view(&w->user));
	if (index < w->file->count) {
		w->state = buf_array(NULL, w->file->count, 1);
		memset(w->state, NEW, w->file->count);
		result = expand_entry(w, index, addr_local(address), NULL);
	}
	if (result != ALIAS_EXPANDED)
		alias_found_free(w->found);
	buf_free(&w->text);
	buf_free(&w->user);
	buf_release(w->state);
	return result;
}

enum alias_result
alias_expand(const struct alias_file *file, struct str address, alias_is_local *is_local,
	     void *ctx, struct alias_found *found)
{
	struct walk w = {.file = file, .is_local = is_local, .ctx = ctx, .found = found};

	return begin(&w, address);
}

enum alias_result
alias_expand_fully(const struct alias_file *file, struct str address,
		   alias_is_local *is_local, alias_include *read, void *ctx,
		   struct alias_found *found, struct buf *why)
{
	struct walk w = {
		.file = file, .is_local = is_local, .include = read, .ctx = ctx, .found = found,
		.why = why,
	};
	enum alias_result result = begin(&w, address);

	if (result == ALIAS_TOO_MANY) {
		why->len = 0;
		buf_print(why, "more than %d steps, %d recipients or %d kB of lists",
			  LIMIT_ALIAS_DEPTH, LIMIT_ALIAS_FANOUT, LIMIT_ALIAS_INCLUDE >> 10);
	} else if (result == ALIAS_EXPANDED && found->addresses.count == 0 &&
		   found->left.count == 0 && found->part_count == 0) {
		/* Lists may be empty, but mail for nobody would be lost. */
		why->len = 0;
		buf_puts(why, "it leads to nobody");
		result = ALIAS_UNUSABLE;
	}
	return result;
}

int
alias_part(const struct alias_file *file, struct str name, unsigned id,
	   struct buf *target)
{
	struct buf user = {0};
	struct str next;
	const char *why;
	int rc = -1;

	addr_print_user(name, &user);
	size_t index = addr_set_find(&file->names, buf_view(&user));
	buf_free(&user);
	if (index == file->count)
		return -1;
	struct targets t = targets_of(&file->entries[index]);
	while (rc && next_target(&t, &next))
		if (read_target(next, target, &why) == SPECIAL && part_id(target) == id)
			rc = 0;
	return rc;
}
