/* SPDX-License-Identifier: ISC */
#include "ntlm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* [MS-NLMP] 4.2.1 and 4.2.4: user, domain, server name, nonces; time 0. */
#define SERVER_CHALLENGE "\x01\x23\x45\x67\x89\xab\xcd\xef"
#define CLIENT_CHALLENGE STR("\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa")
#define INFO "\2\0\14\0D\0o\0m\0a\0i\0n\0\1\0\14\0S\0e\0r\0v\0e\0r\0\0\0\0\0"
#define CHALLENGE_HEAD "NTLMSSP\0\2\0\0\0\14\0\14\0\x38\0\0\0\x33\x82\x8a\xe2" SERVER_CHALLENGE \
	"\0\0\0\0\0\0\0\0"
#define CHALLENGE CHALLENGE_HEAD "\x24\0\x24\0\x44\0\0\0\6\0\x70\x17\0\0\0\x0f" \
	"S\0e\0r\0v\0e\0r\0" INFO
#define PROOF "\x68\xcd\x0a\xb8\x51\xe5\x1c\x96\xaa\xbc\x92\x7b\xeb\xef\x6a\x1c"
#define TEMP(time) "\1\1\0\0\0\0\0\0" time "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\0\0\0\0"
#define NO_TIME "\0\0\0\0\0\0\0\0"

static char bytes[2048];

static struct room
authenticate(struct str challenge, const char *user, const char *password)
{
	struct room out = {bytes, 0, sizeof bytes};

	assert_null(ntlm_authenticate(challenge, str_of(user), str_of(password),
				      CLIENT_CHALLENGE, &out));
	assert_true(room_fits(&out));
	return out;
}

/* What the field at that place says is there. */
static struct str
field(struct room r, size_t at)
{
	const unsigned char *p = (const unsigned char *)r.ptr + at;
	size_t len = p[0] | (size_t)p[1] << 8, offset = p[4] | (size_t)p[5] << 8;

	assert_memory_equal(p, p + 2, 2);
	assert_true(offset <= r.len && len <= r.len - offset);
	return (struct str){r.ptr + offset, len};
}

static void
test_negotiate(void **state)
{
	struct room out = {bytes, 0, sizeof bytes};

	(void)state;
	ntlm_negotiate(&out);
	assert_true(str_eq(room_view(&out), STR("NTLMSSP\0\1\0\0\0\5\x82\x88\0"
						"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")));
}

static void
test_vector(void **state)
{
	struct room m = authenticate(STR(CHALLENGE), "Domain\\User", "Password");

	(void)state;
	assert_memory_equal(m.ptr, "NTLMSSP\0\3\0\0\0", 12);
	assert_memory_equal(m.ptr + 60, "\5\x82\x88\0", 4);
	struct str lm = field(m, 12), nt = field(m, 20);
	assert_int_equal(lm.len, 24);
	for (size_t i = 0; i < lm.len; i++)
		assert_int_equal(lm.ptr[i], 0);
	assert_true(str_eq(nt, STR(PROOF TEMP(NO_TIME) INFO "\0\0\0\0")));
	assert_true(str_eq(field(m, 28), STR("D\0o\0m\0a\0i\0n\0")));
	assert_true(str_eq(field(m, 36), STR("U\0s\0e\0r\0")));
	assert_int_equal(field(m, 44).len, 0);
	assert_int_equal(field(m, 52).len, 0);
	/* Each byte has its place. */
	assert_int_equal(m.len, 64 + lm.len + nt.len + 12 + 8);
}

/* The name counts in capitals; the domain and the password as they are. */
static void
test_key(void **state)
{
	struct str nt = field(authenticate(STR(CHALLENGE), "Domain\\uSER", "Password"), 20);

	(void)state;
	assert_memory_equal(nt.ptr, PROOF, 16);
	nt = field(authenticate(STR(CHALLENGE), "domain\\User", "Password"), 20);
	assert_memory_not_equal(nt.ptr, PROOF, 16);
	nt = field(authenticate(STR(CHALLENGE), "Domain\\User", "password"), 20);
	assert_memory_not_equal(nt.ptr, PROOF, 16);
}

/* Letters of one to four bytes in UTF-8; the proof was computed with Python. */
static void
test_names(void **state)
{
	struct room m = authenticate(STR(CHALLENGE), "j\303\266rg@dom.example",
				     "\342\202\254\360\237\230\200");

	(void)state;
	assert_int_equal(field(m, 28).len, 0);
	assert_true(str_eq(field(m, 36), STR("j\0\xf6\0r\0g\0@\0d\0o\0m\0.\0e\0x\0a\0m\0p\0l\0e\0")));
	assert_memory_equal(field(m, 20).ptr, "\x5d\x3c\x42\x5f\xe4\x99\x33\xc1"
			    "\x72\x3e\xe6\x78\xa2\x82\x05\x00", 16);
}

/* Around MD4's blocks; the proofs, all in one by XOR, were computed with Python. */
static void
test_password_lengths(void **state)
{
	static const unsigned char want[16] = {
		0x11, 0x30, 0xf6, 0x78, 0x6f, 0xe9, 0x43, 0x93,
		0xff, 0xe4, 0xd0, 0xc4, 0x3a, 0xad, 0xa0, 0x64,
	};
	unsigned char got[16] = {0};
	char password[129];

	(void)state;
	for (size_t len = 0; len < sizeof password; len++) {
		memset(password, 'x', len);
		password[len] = '\0';
		struct str nt = field(authenticate(STR(CHALLENGE), "u", password), 20);
		for (size_t i = 0; i < 16; i++)
			got[i] ^= (unsigned char)nt.ptr[i];
	}
	assert_memory_equal(got, want, 16);
}

/* MsvAvTimestamp among others. */
static void
test_time(void **state)
{
#define TIMED "\1\0\2\0S\0\7\0\10\0\1\2\3\4\5\6\7\10\0\0\0\0"
	struct room m = authenticate(STR(CHALLENGE_HEAD "\x16\0\x16\0\x30\0\0\0" TIMED), "u", "p");

	(void)state;
	assert_true(str_eq(str_from(field(m, 20), 16),
			   STR(TEMP("\1\2\3\4\5\6\7\10") TIMED "\0\0\0\0")));
}

/* Each in a block of its own, for the sanitiser. */
static void
test_bad_challenges(void **state)
{
	static const struct {
		struct str info;
		const char *words; /* NULL: taken, without a time */
	} cases[] = {
		{{"", 0}, "malformed"},                           /* version 1's end here */
		{{"\0\0\0\0\0\0\0", 7}, "malformed"},
		{{"\0\0\0\0\0\0\0\0", 8}, NULL},
		{{"\0\0\0\0\x30\0\0\0", 8}, NULL},
		{{"\0\0\0\0\x31\0\0\0", 8}, "malformed"},
		{{"\1\0\1\0\x30\0\0\0", 8}, "malformed"},
		{{"\1\0\1\0\xff\xff\xff\xff", 8}, "malformed"},
		{{"\xff\xff\xff\xff\0\0\0\0", 8}, "malformed"},
		{{"\4\0\4\0\x30\0\0\0" "\7\0\10\0", 12}, NULL},   /* the time is missing */
		{{"\13\0\13\0\x30\0\0\0" "\7\0\10\0aaaaaaa", 19}, NULL},
		{{"\14\0\14\0\x30\0\0\0" "\7\0\11\0aaaaaaaa", 20}, NULL},
		{{"\14\0\14\0\x30\0\0\0" "\1\0\xff\xff" "aaaaaaaa", 20}, NULL},
		{{"\14\0\14\0\x30\0\0\0" "\1\0\0\0\1\0\0\0\1\0\0\0", 20}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t len = sizeof CHALLENGE_HEAD - 1 + cases[i].info.len;
		char *challenge = malloc(len);
		struct room out = {bytes, 0, sizeof bytes};
		assert_non_null(challenge);
		memcpy(challenge, CHALLENGE_HEAD, sizeof CHALLENGE_HEAD - 1);
		memcpy(challenge + sizeof CHALLENGE_HEAD - 1, cases[i].info.ptr, cases[i].info.len);
		const char *why = ntlm_authenticate((struct str){challenge, len}, STR("u"), STR("p"),
						    CLIENT_CHALLENGE, &out);
		if (cases[i].words) {
			assert_non_null(why);
			assert_non_null(strstr(why, cases[i].words));
		} else {
			assert_null(why);
			assert_memory_equal(field(out, 20).ptr + 24, NO_TIME, 8);
		}
		free(challenge);
	}
	/* Not a challenge, or cut anywhere. */
	for (size_t len = 0; len < sizeof CHALLENGE - 1; len++) {
		struct room out = {bytes, 0, sizeof bytes};
		assert_non_null(ntlm_authenticate((struct str){CHALLENGE, len}, STR("u"), STR("p"),
						  CLIENT_CHALLENGE, &out));
	}
	struct room out = {bytes, 0, sizeof bytes};
	assert_non_null(ntlm_authenticate(STR("NTLMSSP\0\1\0\0\0\14\0\14\0\x38\0\0\0\x33\x82\x8a\xe2"
					      SERVER_CHALLENGE "\0\0\0\0\0\0\0\0\0\0\0\0\x30\0\0\0"),
					  STR("u"), STR("p"), CLIENT_CHALLENGE, &out));
}

/* Whatever the room, nothing is written behind it. */
static void
test_room(void **state)
{
	size_t whole = authenticate(STR(CHALLENGE), "Domain\\User", "Password").len;
	bool fitted = false;

	(void)state;
	for (size_t cap = 0; cap <= whole; cap++) {
		char *block = malloc(cap + 1);
		struct room out = {block, 0, cap};
		assert_non_null(block);
		block[cap] = 'x';
		const char *why = ntlm_authenticate(STR(CHALLENGE), STR("Domain\\User"),
						    STR("Password"), CLIENT_CHALLENGE, &out);
		assert_int_equal(block[cap], 'x');
		fitted = !why && room_fits(&out);
		assert_true(fitted == (cap == whole));
		free(block);
	}
	assert_true(fitted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_negotiate),
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_password_lengths),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_bad_challenges),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
