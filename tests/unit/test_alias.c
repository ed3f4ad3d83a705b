/* SPDX-License-Identifier: ISC */
#include "alias.h"
#include "codec.h"
#include "limit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void
note_complaint(void *ctx, unsigned line, const char *what, struct str piece)
{
	assert_true(what && *what);
	buf_print(ctx, "%u:%.*s ", line, STR_ARG(piece));
}

static bool
is_local(void *ctx, struct str domain)
{
	assert_null(ctx);
	return str_ieq(domain, STR("localhost")) || str_ieq(domain, STR("box.example"));
}

/* Part i is the how-manieth of its entry, from 1. */
static unsigned
number_of(const struct alias_found *f, size_t i)
{
	unsigned number = 0;

	for (size_t n = 0; n <= i; n++)
		number += f->parts[n].entry == f->parts[i].entry;
	return number;
}

static void
print_found(const struct alias_found *f, struct buf *text)
{
	for (size_t i = 0; i < f->addresses.count; i++)
		buf_print(text, "%.*s ", STR_ARG(addr_set_get(&f->addresses, i)));
	for (size_t i = 0; i < f->left.count; i++)
		buf_print(text, "?%.*s ", STR_ARG(addr_set_get(&f->left, i)));
	for (size_t i = 0; i < f->part_count; i++) {
		addr_print_local(f->parts[i].entry->name, text);
		buf_print(text, "#%u ", number_of(f, i));
	}
}

/* What name becomes as mail comes in, a blank behind each, '?' before those that are left;
 * "many" or "none" where that is the result. */
static const char *
expand(const struct alias_file *file, const char *name, struct buf *text)
{
	struct alias_found found;
	enum alias_result r = alias_expand(file, str_of(name), is_local, NULL, &found);

	text->len = 0;
	print_found(&found, text);
	assert_int_equal(found.part_count, 0);
	assert_int_equal(r == ALIAS_EXPANDED, text->len > 0);
	assert_true(r != ALIAS_UNUSABLE);
	if (r != ALIAS_EXPANDED)
		buf_puts(text, r == ALIAS_NONE ? "none" : "many");
	alias_found_free(&found);
	return buf_cstr(text);
}

/* Lists for ":include:". */
static int
include(void *ctx, struct str path, struct buf *text)
{
	static const struct {
		const char *path, *text;
	} lists[] = {
		{"/l/two", "ann@x, bob@x\n"},
		{"/l/names", "# who\n\n  joe ,ann@x\n\tRobin X <rob@x>\r\n\\a, eve@localhost"},
		{"/l/deep", ":include:/l/two\nzoe@x\n\":include:/l/three\"\n"},
		{"/l/three", "c@x\n"},
		{"/l/loop", "x@y\n:include:/l/loop2\n"},
		{"/l/loop2", ":include:/l/loop\n:include:/l/loop2\nz@y"},
		{"/l/empty", "# nobody\n"},
		{"/l/only-loop", ":include:/l/only-loop"},
		{"/l/cmd", "ann@x\n|cmd"},
		{"/l/file", "\n\n/file"},
		{"/l/bad", "ann@x\n# x\n\nbob x, c@x\n"},
		{"/l/gone", ":include:/none"},
		{"/l/a", "a, robot"},
		{"/l/with space", "space@x"},
	};

	assert_null(ctx);
	assert_int_equal(text->len, 0);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		if (str_eq(path, str_of(lists[i].path))) {
			buf_puts(text, lists[i].text);
			return 0;
		}
	return ENOENT;
}

/* The same at delivery, with "name#number " for parts, or "!" and why not. */
static const char *
expand_fully(const struct alias_file *file, const char *name, struct buf *text)
{
	struct alias_found found;
	struct buf why = {0};
	enum alias_result r = alias_expand_fully(file, str_of(name), is_local, include, NULL,
						 &found, &why);

	text->len = 0;
	print_found(&found, text);
	assert_true(found.left.count == 0 || file->forward);
	assert_int_equal(r == ALIAS_EXPANDED, text->len > 0);
	assert_int_equal(r == ALIAS_TOO_MANY || r == ALIAS_UNUSABLE, why.len > 0);
	if (r == ALIAS_NONE)
		buf_puts(text, "none");
	else if (r != ALIAS_EXPANDED)
		buf_print(text, "!%s", buf_cstr(&why));
	alias_found_free(&found);
	buf_free(&why);
	return buf_cstr(text);
}

/* A file, the lines complained of, then names and what they become. */
static const struct {
	const char *text, *complaints;
	size_t count, targets;
	struct {
		const char *name, *out;
	} names[6];
} files[] = {
	{"", "", 0, 0, {{"joe", "none"}}},
	{"# nothing\n\n  \n\t# here\n", "", 0, 0, {{"joe", "none"}}},
	{"root: joe, ann@x.example\n", "", 1, 2,
	 {{"root", "joe ann@x.example "}, {"ROOT", "joe ann@x.example "}, {"joe", "none"}}},
	{"root : joe", "", 1, 1, {{"root", "joe "}}},
	{"a: b\r\n\r\nc: d,\r\n e\r\n", "", 2, 3, {{"a", "b "}, {"c", "d e "}}},
	/* Continuation, over comments and empty lines as well. */
	{"a:\n b,\n# note, that\n\n\t\n  # and this\n\tc\n d,,e\nf: g\n", "", 2, 5,
	 {{"a", "b c d e "}, {"f", "g "}}},
	{"# top\n b\na: c\n", "2:b ", 1, 1, {{"a", "c "}}},
	/* Quotes. */
	{"\"a: b\": \"c, d\"@x, \"e f\", Joe X <g@h>\n\"j\": k", "", 2, 4,
	 {{"\"a: b\"", "\"c, d\"@x \"e f\" g@h "}, {"j", "k "}}},
	/* Chains, local domains, loops. */
	{"a: b@localhost, c@Box.Example, d@x\nb: e\nc: f@x, d@X\n", "", 3, 6,
	 {{"a", "e f@x d@X "}, {"b", "e "}, {"c", "f@x d@X "}}},
	{"root: root, x@y\n", "", 1, 2, {{"root", "root x@y "}, {"Root", "root x@y "}}},
	{"root: \\root, x@y\n", "", 1, 2, {{"root", "root x@y "}}},
	{"a: b\nb: a\n", "", 2, 2, {{"a", "a "}, {"b", "b "}}},
	{"a: b, c\nb: c\nc: b, z\n", "", 3, 5, {{"a", "b z "}, {"c", "c z "}}},
	{"a: \\b, \\c@localhost, \\d@x\nb: no\nc: no\n", "", 3, 5, {{"a", "b c d@x "}}},
	{"a: b, b, c, B\nb: d\nc: d\n", "", 3, 6, {{"a", "d "}}},
	/* Details. */
	{"joe: ann\njoe+x: eve\n", "", 2, 2,
	 {{"joe+y", "ann "}, {"joe+x", "eve "}, {"JOE+X+y", "ann "}, {"+joe", "none"}, {"bob+joe", "none"}}},
	{"a: b+c, d+e\nd: d+f, x@y\n", "", 2, 4, {{"a", "b+c d+f x@y "}}},
	/* Catch-all. */
	{"*: adm@x\nroot: joe\nann: ann\nbob: \\bob\neve: ann, y@z\n", "", 5, 6,
	 {{"who", "adm@x "}, {"root", "adm@x "}, {"ann", "ann "}, {"bob", "bob "}, {"eve", "ann y@z "}}},
	{"*: joe, x@y\n", "", 1, 2, {{"joe", "joe x@y "}, {"ann", "joe x@y "}, {"ann+b", "joe x@y "}}},
	{"*: root\nroot: me@x\n", "", 2, 2, {{"ann", "me@x "}, {"root", "me@x "}}},
	/* What is wrong. */
	{"no colon\na: b\n\"x: y\n: z\n\"\": z\ne:\nf: ,\n # x\nlast: ok", "1:no colon 3:\"x: y 4:: z "
	 "5:\"\": z 6:e 7:f ", 2, 2, {{"a", "b "}, {"e", "none"}, {"f", "none"}, {"last", "ok "}}},
	{"no colon\n a: b\nc: d\n", "1:no colon ", 1, 1, {{"c", "d "}, {"a", "none"}}},
	{"a: b\nA: c\n\"a\": d\n", "2:A 3:a ", 1, 1, {{"a", "b "}}},
	{"a: b, c d,\n e@,\n f\ng: a, b\nh: \"x, y\n", "1:c d 2:e@ 5:\"x, y ", 3, 7,
	 {{"a", "?a "}, {"A+x", "?A+x "}, {"g", "b ?a "}, {"h", "?h "}}},
	{"a: mail/all, ./x, ../y\nb: ~/z\nc: :include:list\nd: |\ne: \"| \"\nf: \\/x",
	 "1:mail/all 1:./x 1:../y 2:~/z 3::include:list 4:| 5:\"| \" 6:\\/x ", 6, 8,
	 {{"a", "?a "}, {"b", "?b "}, {"c", "?c "}, {"d", "?d "}, {"e", "?e "}, {"f", "?f "}}},
	{"a: |c\tx, :include:\nb: |c\x01\nc: \"/x\x7f\"", "1::include: 2:|c\x01 3:\"/x\x7f\" ", 3, 4,
	 {{"a", "?a "}, {"b", "?b "}, {"c", "?c "}}},
	/* What is expanded at delivery. */
	{"a: |cmd\nb: \"|cmd x, y\", z\nc: /dev/null\nd: :include:/x\ne: \":Include:/y\"\nf: x, a\n",
	 "", 6, 8,
	 {{"a", "?a "}, {"b", "?b "}, {"c", "?c "}, {"d", "?d "}, {"e", "?e "}, {"f", "x ?a "}}},
	{"*: |cmd\nann: ann\nlist: bob, eve, ann\n", "", 3, 5,
	 {{"bob", "?bob "}, {"ann", "ann "}, {"list", "ann ?bob "}, {"\"x y\"", "?\"x y\" "}}},
	{"a: a, |cmd\nb: a, c\nc: b, d@x\n", "", 3, 6, {{"a", "?a "}, {"b", "b d@x ?a "}}},
	{"a: \"/C=us/\"@x, \"|x\"@y\n", "", 1, 2, {{"a", "/C=us/@x |x@y "}}},
	{"a: \\\nb: \\x y\n", "1:\\ 2:\\x y ", 2, 2, {{"a", "?a "}, {"b", "?b "}}},
};

static void
test_files(void **state)
{
	struct buf text = {0};

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct alias_file file;
		text.len = 0;
		alias_parse(&file, str_of(files[i].text), note_complaint, &text);
		assert_string_equal(buf_cstr(&text), files[i].complaints);
		assert_int_equal(file.errors > 0, text.len > 0);
		assert_int_equal(file.count, files[i].count);
		assert_int_equal(file.targets, files[i].targets);
		for (size_t n = 0; n < 6 && files[i].names[n].name; n++)
			assert_string_equal(expand(&file, files[i].names[n].name, &text),
					    files[i].names[n].out);
		alias_free(&file);
	}
	buf_free(&text);
}

/* A file, and what names become at delivery. */
static const struct {
	const char *text;
	struct {
		const char *name, *out;
	} names[8];
} full[] = {
	{"a: b, c@x\nb: d", {{"a", "d c@x "}, {"A+z@localhost", "d c@x "}, {"d", "none"}}},
	{"r: r, |cmd, x@y, /file\ns: r, \"|s\", r, \\r",
	 {{"r", "r x@y r#1 r#2 "}, {"R+x", "r x@y r#1 r#2 "}, {"s", "r x@y r#1 r#2 s#1 "}}},
	{"*: |cmd, \"x y\"\n\"p q\": /p\nlist: a, b, \"p q\"",
	 {{"who", "\"x y\" *#1 "}, {"\"p q\"", "\"p q\"#1 "}, {"list", "\"x y\" *#1 \"p q\"#1 "}}},
	{"a: b, |one\nb: a, |two", {{"a", "a b#1 a#1 "}, {"b", "b a#1 b#1 "}}},
	/* Lists. */
	{"l: :include:/l/two\nn: \":include:/l/names\", |x\njoe: jim\na: no\neve: e@x\n"
	 "d: :INCLUDE: /l/deep,q@x\nq: :include:\"/l/with space\"\ns: \":include:/l/with space\"",
	 {{"l", "ann@x bob@x "}, {"n", "jim ann@x rob@x a e@x n#1 "},
	  {"d", "ann@x bob@x zoe@x c@x q@x "}, {"q", "space@x "}, {"s", "space@x "}}},
	{"loop: :include:/l/loop\nself: :include:/l/a\nrobot: |r\na: self, z",
	 {{"loop", "x@y z@y "}, {"self", "self z robot#1 "}, {"a", "a z robot#1 "}}},
	/* Nobody, or not all: nothing. */
	{"e: :include:/l/empty\no: :include:/l/only-loop\nx: e, joe\ny: :include:/l/empty,\n e, o",
	 {{"e", "!it leads to nobody"}, {"o", "!it leads to nobody"}, {"x", "joe "},
	  {"y", "!it leads to nobody"}}},
	{"# x\nc: joe,\n :include:/l/cmd\nf: :include:/l/file\nb: x@y,\n\n\t:include:/l/bad\n"
	 "n: |x, :include:/none\ng: :include:/l/gone\n",
	 {{"c", "!/l/cmd line 2: a command or file in a list that is included"},
	  {"f", "!/l/file line 3: a command or file in a list that is included"},
	  {"b", "!/l/bad line 4: more than one word and no address in <>"},
	  {"n", "!line 8: cannot read /none: No such file or directory"},
	  {"g", "!/l/gone line 1: cannot read /none: No such file or directory"}}},
	{"a: x@y, |ok,\n b c\nd: x@y, a\ne: |\nf: ./x\ng: :include:x\nh: |a\x01",
	 {{"a", "!line 2: more than one word and no address in <>"},
	  {"d", "!line 2: more than one word and no address in <>"},
	  {"e", "!line 4: no command or path"},
	  {"f", "!line 5: a path that does not begin with '/'"},
	  {"g", "!line 6: a path that does not begin with '/'"},
	  {"h", "!line 7: a control character"}}},
};

static void
test_full(void **state)
{
	struct buf text = {0}, complaints = {0};

	(void)state;
	for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
		struct alias_file file;
		alias_parse(&file, str_of(full[i].text), note_complaint, &complaints);
		for (size_t n = 0; n < 8 && full[i].names[n].name; n++)
			assert_string_equal(expand_fully(&file, full[i].names[n].name, &text),
					    full[i].names[n].out);
		alias_free(&file);
	}
	buf_free(&text);
	buf_free(&complaints);
}

/* joe's .forward, and what joe becomes. */
static const struct {
	const char *text, *out;
} forwards[] = {
	{"", "none"}, {"\n# away\n , \n", "none"},
	{"joe@x", "joe@x "}, {"joe@x\nann@y, bob@z\n", "joe@x ann@y bob@z "},
	{"  # x\n \\joe, \"|/bin/vacation joe\"\n/home/joe/copy", "joe joe#1 joe#2 "},
	{"joe, ann, \\bob, eve@localhost, Joe+x", "joe bob Joe+x ?ann ?eve "},
	{"\"|IFS=' ' && exec /bin/procmail || exit 75 #joe\"", "joe#1 "},
	{":include:/l/names", "joe ann@x rob@x a ?eve "},
	{"ann\n:include:/l/cmd", "!/l/cmd line 2: a command or file in a list that is included"},
	{"ann\nann bob", "!line 2: more than one word and no address in <>"},
	{"ann\n\n\"|x", "!line 3: a quote, comment or bracket without its end"},
	{"Mail/box", "!line 1: a path that does not begin with '/'"},
};

static void
test_forwards(void **state)
{
	struct alias_file file;
	struct buf text = {0};

	(void)state;
	for (size_t i = 0; i < sizeof forwards / sizeof *forwards; i++) {
		alias_parse_forward(&file, str_of(forwards[i].text), STR("joe"));
		assert_string_equal(expand_fully(&file, "joe", &text), forwards[i].out);
		assert_string_equal(expand_fully(&file, "ann", &text), "none");
		alias_free(&file);
	}
	alias_parse_forward(&file, STR("|a\n\"|b \\\"c\\\" d\", x@y, /e f"), STR("joe b"));
	assert_string_equal(expand_fully(&file, "\"joe b\"", &text),
			    "x@y \"joe b\"#1 \"joe b\"#2 \"joe b\"#3 ");
	assert_int_equal(alias_part(&file, STR("\"joe b\""), codec_crc32(0, STR("|b \"c\" d")), &text), 0);
	assert_string_equal(buf_cstr(&text), "|b \"c\" d");
	alias_free(&file);
	buf_free(&text);
}

static void
test_parts(void **state)
{
	static const struct {
		const char *name, *text;
		bool there;
	} parts[] = {
		{"a", "|cmd", true}, {"A", "/file", true}, {"a", "|with args, and \"quotes\"", true},
		{"a", "|\"two words\" x", true}, {"a", "|one \"two\"", true}, {"a", "|x y", true},
		{"a", "/my file", true}, {"a", "/my dir/", true}, {"a", "|no", false},
		{"a", "/x", false}, {"a", "x@y", false}, {"a", "", false},
		{"*", "|all", true}, {"\"p q\"", "|pq", true}, {"a", "|all", false},
		/* The entry itself, not one that stands in for it. */
		{"b", "|all", false}, {"a+b", "|cmd", false}, {"p", "|all", false},
	};
	struct alias_file file;
	struct buf text = {0};

	(void)state;
	alias_parse(&file, STR("a: | cmd, x@y, /file, \"|with args, and \\\"quotes\\\"\",\n"
			       " |\"two words\" x, b c\n # |no\n |one \"two\", | \"x y\",\n"
			       "\t\"/my file\", /\"my dir/\", :include:/x\n*: |all\n\"p q\": |pq\n"),
		    note_complaint, &text);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		int rc = alias_part(&file, str_of(parts[i].name),
				    codec_crc32(0, str_of(parts[i].text)), &text);
		assert_int_equal(rc, parts[i].there ? 0 : -1);
		if (parts[i].there)
			assert_string_equal(buf_cstr(&text), parts[i].text);
	}
	alias_free(&file);
	buf_free(&text);
}

static void
test_entries(void **state)
{
	struct alias_file file;
	struct buf text = {0};

	(void)state;
	alias_parse(&file, STR("# x\na: b\n\n\"c\":\n d\n"), note_complaint, &text);
	assert_int_equal(file.errors, 0);
	assert_int_equal(file.count, 2);
	assert_true(str_eq(file.entries[0].name, STR("a")));
	assert_int_equal(file.entries[0].line, 2);
	assert_true(str_eq(file.entries[1].name, STR("c")));
	assert_int_equal(file.entries[1].line, 4);
	alias_free(&file);
	buf_free(&text);
}

static void
test_bounds(void **state)
{
	struct alias_file file;
	struct buf text = {0}, out = {0};

	(void)state;
	for (int i = 0; i <= LIMIT_ALIAS_DEPTH + 1; i++)
		buf_print(&text, "n%d: n%d\n", i, i + 1);
	buf_puts(&text, "most:");
	for (int i = 0; i < LIMIT_ALIAS_FANOUT; i++)
		buf_print(&text, " u%d,", i);
	buf_puts(&text, "\nmore: one, most\n");
	alias_parse(&file, buf_view(&text), note_complaint, &out);
	assert_int_equal(file.errors, 0);
	assert_string_equal(expand(&file, "n0", &out), "many");
	assert_string_equal(expand(&file, "n1", &out), "n22 ");
	assert_string_equal(expand(&file, "more", &out), "many");
	assert_true(str_starts(str_of(expand(&file, "most", &out)), STR("u0 u1 ")));
	static const char many[] = "!more than 20 steps, 10000 recipients or 4096 kB of lists";
	assert_string_equal(expand_fully(&file, "n0", &out), many);
	assert_string_equal(expand_fully(&file, "n1", &out), "n22 ");
	assert_string_equal(expand_fully(&file, "more", &out), many);
	assert_true(str_starts(str_of(expand_fully(&file, "most", &out)), STR("u0 u1 ")));
	alias_free(&file);

	/* Parts count as recipients do. */
	text.len = 0;
	buf_puts(&text, "p: x");
	for (int i = 0; i < LIMIT_ALIAS_FANOUT; i++)
		buf_print(&text, i % 2 ? ", |%d" : ",\n /%d", i);
	alias_parse(&file, buf_view(&text), note_complaint, &out);
	assert_string_equal(expand_fully(&file, "p", &out), many);
	alias_free(&file);
	text.ptr[3] = ',';
	alias_parse(&file, buf_view(&text), note_complaint, &out);
	assert_true(str_starts(str_of(expand_fully(&file, "p", &out)), STR("p#1 p#2 ")));
	assert_int_equal(alias_part(&file, STR("p"), codec_crc32(0, STR("|9999")), &out), 0);
	assert_string_equal(buf_cstr(&out), "|9999");
	alias_free(&file);
	buf_free(&text);
	buf_free(&out);
}

/* Lists by the thousand, each of which names two more: an end all the same. */
struct lists {
	unsigned calls;
	size_t size; /* of each */
};

static int
double_include(void *ctx, struct str path, struct buf *text)
{
	struct lists *l = ctx;

	l->calls++;
	for (int i = 0; i < 2; i++)
		buf_print(text, ":include:%.*s%d\nu%u@x\n", STR_ARG(path), i, l->calls);
	while (text->len < l->size)
		buf_putc(text, '\n');
	return 0;
}

static bool
nothing_is_local(void *ctx, struct str domain)
{
	(void)ctx;
	(void)domain;
	return false;
}

static void
test_lists(void **state)
{
	static const struct {
		size_t size;
		unsigned calls;
	} cases[] = {{0, 20}, {LIMIT_ALIAS_INCLUDE, 2}, {LIMIT_ALIAS_INCLUDE / 4, 5}};
	struct alias_file file;
	struct alias_found found;
	struct buf why = {0};

	(void)state;
	alias_parse(&file, STR("a: :include:/"), note_complaint, &why);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct lists l = {.size = cases[i].size};
		assert_int_equal(alias_expand_fully(&file, STR("a"), nothing_is_local,
						    double_include, &l, &found, &why),
				 ALIAS_TOO_MANY);
		assert_in_range(l.calls, 1, cases[i].calls + 1);
	}
	alias_free(&file);
	buf_free(&why);
}

/* Entries that double at each step, and a file with very many: linear all the same. */
static void
test_large(void **state)
{
	struct alias_file file;
	struct buf text = {0}, out = {0};
	clock_t start = clock();

	(void)state;
	for (int i = 0; i < 18; i++) {
		buf_print(&text, "d%d: ", i);
		for (int n = 0; n < 50; n++)
			buf_print(&text, "d%d+%d, ", i + 1, n);
		buf_puts(&text, "\n");
	}
	for (int i = 0; i < 50000; i++)
		buf_print(&text, "a%d: x\n", i);
	alias_parse(&file, buf_view(&text), note_complaint, &out);
	assert_int_equal(file.count, 50018);
	assert_string_equal(expand(&file, "a49999", &out), "x ");
	expand(&file, "d0", &out);
	assert_true(str_starts(buf_view(&out), STR("d18+0 d18+1 ")));
	assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
	alias_free(&file);
	buf_free(&text);
	buf_free(&out);
}

/* Each part that is found is one that can be asked for, and no command without text. */
static void
check_parts(const struct alias_file *file, const char *name)
{
	struct alias_found found;
	struct buf why = {0};

	alias_expand_fully(file, str_of(name), is_local, include, NULL, &found, &why);
	for (size_t i = 0; i < found.part_count; i++) {
		struct buf entry = {0}, again = {0};
		addr_print_local(found.parts[i].entry->name, &entry);
		assert_int_equal(alias_part(file, buf_view(&entry), found.parts[i].id, &why), 0);
		/* It is a name that may stand in a spool file. */
		assert_int_equal(addr_parse(buf_view(&entry), &again, &(const char *){NULL}), 0);
		assert_true(str_eq(buf_view(&again), buf_view(&entry)));
		buf_free(&entry);
		buf_free(&again);
		assert_true(why.ptr[0] == '/' || (why.ptr[0] == '|' && why.len > 1));
	}
	alias_found_free(&found);
	buf_free(&why);
}

/* Any bytes: every problem is told, nothing is read that is not there. */
static void
test_random(void **state)
{
	static const char *const pieces[] = {
		"a", "a", "b", "b", ":", ": ", ",", "\n", "\n", " ", "#", "\"", "\\", "+", "*", "@",
		"|", "/", ":include:/l/", "a: ", "b: ", "two", "loop", "\na: ",
	};
	struct buf out = {0};
	struct buf text = {0};
	uint32_t x = 123456789u;

	(void)state;
	for (int round = 0; round < 30000; round++) {
		text.len = 0;
		for (int i = 0; i < round % 30; i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			buf_puts(&text, pieces[x % (sizeof pieces / sizeof *pieces)]);
		}
		struct alias_file file;
		out.len = 0;
		alias_parse(&file, buf_view(&text), note_complaint, &out);
		assert_int_equal(file.errors > 0, out.len > 0);
		/* Either way knows the same names. */
		assert_int_equal(strcmp(expand(&file, "a", &out), "none") == 0,
				 strcmp(expand_fully(&file, "a", &out), "none") == 0);
		check_parts(&file, "a");
		expand(&file, "b+a", &out);
		check_parts(&file, "b+a");
		alias_free(&file);
		alias_parse_forward(&file, buf_view(&text), STR("a"));
		check_parts(&file, "a");
		alias_free(&file);
	}
	buf_free(&text);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_forwards),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
