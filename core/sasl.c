/* SPDX-License-Identifier: ISC */
#include "sasl.h"
#include "codec.h"
#include "fmt.h"

#include <bearssl.h>
#include <string.h>

enum {
	HASH = br_sha256_SIZE,
	SALT = 256,
	/* Some 8 G instructions, estimated at 20 s on a 600 MHz MIPS; servers are known to ask
	 * for 4096 to 600000. */
	ITERATIONS = 1000000,
	STEP_NEVER = 100,
};

/* As sasl_step, for s->step: 0 for the first call. */
typedef ptrdiff_t step(struct sasl *s, struct str challenge, char *out, size_t cap,
		       const char **why);

struct sasl_mechanism {
	const char *name;
	bool client_first;
	bool mutual; /* the server proves itself */
	step *step;
};

static ptrdiff_t
fail(const char **why, const char *words)
{
	*why = words;
	return -1;
}

/* The result of an fmt_print to out. */
static ptrdiff_t
fit(size_t len, size_t cap, const char **why)
{
	return len < cap ? (ptrdiff_t)len : fail(why, "user or password is too long");
}

static ptrdiff_t
unexpected(const char **why)
{
	return fail(why, "the server goes on asking after the last step of AUTH");
}

static void
hmac_key(br_hmac_key_context *key, const br_hash_class *hash, struct str bytes)
{
	br_hmac_key_init(key, hash, bytes.ptr, bytes.len);
}

/* The HMAC of all parts one behind the other. */
static void
hmac(const br_hmac_key_context *key, const struct str *parts, size_t count, void *out)
{
	br_hmac_context ctx;

	br_hmac_init(&ctx, key, 0);
	for (size_t i = 0; i < count; i++)
		br_hmac_update(&ctx, parts[i].ptr, parts[i].len);
	br_hmac_out(&ctx, out);
	explicit_bzero(&ctx, sizeof ctx);
}

static ptrdiff_t
plain_step(struct sasl *s, struct str challenge, char *out, size_t cap, const char **why)
{
	(void)challenge;
	if (s->step > 0)
		return unexpected(why);
	return fit(fmt_print(out, cap, "%c%.*s%c%.*s", 0, STR_ARG(s->user), 0,
			     STR_ARG(s->password)), cap, why);
}

/* Never standardised: what the prompts say is anybody's guess, their order is not. */
static ptrdiff_t
login_step(struct sasl *s, struct str challenge, char *out, size_t cap, const char **why)
{
	(void)challenge;
	if (s->step > 1)
		return unexpected(why);
	struct str answer = s->step == 0 ? s->user : s->password;
	return fit(fmt_print(out, cap, "%.*s", STR_ARG(answer)), cap, why);
}

static ptrdiff_t
cram_step(struct sasl *s, struct str challenge, char *out, size_t cap, const char **why)
{
	unsigned char digest[br_md5_SIZE];
	br_hmac_key_context key;

	if (s->step > 0)
		return unexpected(why);
	hmac_key(&key, &br_md5_vtable, s->password);
	hmac(&key, &challenge, 1, digest);
	explicit_bzero(&key, sizeof key);
	size_t n = fmt_print(out, cap, "%.*s ", STR_ARG(s->user));
	for (size_t i = 0; i < sizeof digest && n < cap; i++)
		n += fmt_print(out + n, cap - n, "%02x", digest[i]);
	return fit(n, cap, why);
}

/* Hi() of RFC 5802 2.2, which is PBKDF2 with one block. */
static void
salted_password(struct str password, struct str salt, uint64_t iterations,
		unsigned char out[static HASH])
{
	unsigned char u[HASH];
	br_hmac_key_context key;

	hmac_key(&key, &br_sha256_vtable, password);
	hmac(&key, (const struct str[]){salt, {"\0\0\0\1", 4}}, 2, u);
	memcpy(out, u, HASH);
	while (--iterations > 0) {
		hmac(&key, &(const struct str){(const char *)u, HASH}, 1, u);
		for (size_t i = 0; i < HASH; i++)
			out[i] ^= u[i];
	}
	explicit_bzero(u, sizeof u);
	explicit_bzero(&key, sizeof key);
}

/* The HMAC of one text under a key of HASH bytes: all that SCRAM needs beyond Hi(). */
static void
keyed(const unsigned char key[static HASH], const struct str *parts, size_t count, void *out)
{
	br_hmac_key_context ctx;

	hmac_key(&ctx, &br_sha256_vtable, (struct str){(const char *)key, HASH});
	hmac(&ctx, parts, count, out);
	explicit_bzero(&ctx, sizeof ctx);
}

/* RFC 5802 3: from the three texts of AuthMessage to our proof and the server's. */
static void
scram_proofs(struct sasl *s, struct str salt, uint64_t iterations, struct str server_first,
	     struct str final_bare, unsigned char proof[static HASH])
{
	const struct str message[] = {
		{s->scram.first_bare, s->scram.first_bare_len}, STR(","), server_first,
		STR(","), final_bare,
	};
	enum { PARTS = sizeof message / sizeof message[0] };
	unsigned char salted[HASH], key[HASH], stored[HASH];
	br_sha256_context sha;

	salted_password(s->password, salt, iterations, salted);
	keyed(salted, &STR("Server Key"), 1, key);
	keyed(key, message, PARTS, s->scram.server_signature);
	keyed(salted, &STR("Client Key"), 1, key);
	br_sha256_init(&sha);
	br_sha256_update(&sha, key, HASH);
	br_sha256_out(&sha, stored);
	keyed(stored, message, PARTS, proof);
	for (size_t i = 0; i < HASH; i++)
		proof[i] ^= key[i];
	explicit_bzero(salted, sizeof salted);
	explicit_bzero(key, sizeof key);
	explicit_bzero(stored, sizeof stored);
	explicit_bzero(&sha, sizeof sha);
}

/* Takes the attribute "name=value" off *rest. */
static bool
attribute(struct str *rest, char name, struct str *value)
{
	struct str a = str_cut(rest, ',');

	*value = str_from(a, 2);
	return a.len >= 2 && a.ptr[0] == name && a.ptr[1] == '=';
}

/* User names go as they are: SASLprep changes none that servers are known to give out. */
static ptrdiff_t
scram_first(struct sasl *s, char *out, size_t cap, const char **why)
{
	char *bare = s->scram.first_bare;
	const size_t bare_cap = sizeof s->scram.first_bare;
	size_t n = fmt_print(bare, bare_cap, "n=");

	for (size_t i = 0; i < s->user.len && n < bare_cap; i++) {
		char c = s->user.ptr[i];
		n += fmt_print(bare + n, bare_cap - n,
			       c == ',' || c == '=' ? "=%02X" : "%c", c);
	}
	if (n < bare_cap)
		n += fmt_print(bare + n, bare_cap - n, ",r=%.*s", STR_ARG(s->nonce));
	if (n >= bare_cap)
		return fail(why, "user name is too long for SCRAM");
	s->scram.first_bare_len = n;
	return fit(fmt_print(out, cap, "n,,%s", bare), cap, why);
}

static ptrdiff_t
scram_final(struct sasl *s, struct str challenge, char *out, size_t cap, const char **why)
{
	struct str rest = challenge, nonce, salt64, count;
	char salt[SALT], proof64[CODEC_BASE64_SIZE(HASH)];
	unsigned char proof[HASH];
	uint64_t iterations;

	if (!attribute(&rest, 'r', &nonce) || !attribute(&rest, 's', &salt64) ||
	    !attribute(&rest, 'i', &count))
		return fail(why, "the server's SCRAM challenge is malformed");
	/* Without a part of its own a listener could play an old exchange back to us. */
	if (!str_starts(nonce, s->nonce) || nonce.len == s->nonce.len)
		return fail(why, "the server's SCRAM nonce does not continue ours");
	ptrdiff_t salt_len = codec_unbase64(salt64, salt, sizeof salt);
	if (salt_len <= 0)
		return fail(why, "the server's SCRAM salt is malformed");
	if (str_number(count, ITERATIONS, &iterations) || iterations == 0)
		return fail(why, "the server asks for no or too many SCRAM iterations");

	/* "biws" is base64 for "n,,": no channel binding. */
	size_t n = fmt_print(out, cap, "c=biws,r=%.*s", STR_ARG(nonce));
	if (n >= cap)
		return fail(why, "the server's SCRAM nonce is too long");
	scram_proofs(s, (struct str){salt, (size_t)salt_len}, iterations, challenge,
		     (struct str){out, n}, proof);
	codec_base64((struct str){(const char *)proof, sizeof proof}, proof64);
	n += fmt_print(out + n, cap - n, ",p=%.*s", (int)sizeof proof64, proof64);
	return fit(n, cap, why);
}

/* The server's last word: that it knows the password too, or why it does not want us. */
static ptrdiff_t
scram_verify(struct sasl *s, struct str challenge, const char **why)
{
	char signature[HASH];
	struct str value, rest = challenge;
	unsigned difference = 0;

	if (attribute(&rest, 'e', &value))
		return fail(why, str_eq(value, STR("invalid-proof")) ||
				 str_eq(value, STR("unknown-user")) ?
				 "the server does not accept this user and password" :
				 "the server reports an error in the SCRAM exchange");
	rest = challenge;
	if (!attribute(&rest, 'v', &value) ||
	    codec_unbase64(value, signature, sizeof signature) != HASH)
		return fail(why, "the server's SCRAM signature is malformed");
	for (size_t i = 0; i < HASH; i++)
		difference |= (unsigned char)signature[i] ^ s->scram.server_signature[i];
	if (difference)
		return fail(why, "the server does not know the password: it is not ours");
	s->done = true;
	return 0;
}

static ptrdiff_t
scram_step(struct sasl *s, struct str challenge, char *out, size_t cap, const char **why)
{
	switch (s->step) {
	case 0:
		return scram_first(s, out, cap, why);
	case 1:
		return scram_final(s, challenge, out, cap, why);
	case 2:
		return scram_verify(s, challenge, why);
	default:
		return unexpected(why);
	}
}

/* Strongest first. */
static const struct sasl_mechanism mechanisms[] = {
	{"SCRAM-SHA-256", true, true, scram_step},
	{"CRAM-MD5", false, false, cram_step},
	{"PLAIN", true, false, plain_step},
	{"LOGIN", false, false, login_step},
};

enum { MECHANISMS = sizeof mechanisms / sizeof mechanisms[0] };

/* Where name stands among the words of list, which spaces or commas separate; SIZE_MAX
 * where it does not. */
static size_t
position(struct str list, struct str name)
{
	size_t start = 0;

	for (size_t i = 0; i <= list.len; i++) {
		if (i < list.len && list.ptr[i] != ' ' && list.ptr[i] != ',')
			continue;
		if (str_ieq(str_upto(str_from(list, start), i - start), name))
			return start;
		start = i + 1;
	}
	return SIZE_MAX;
}

int
sasl_pick(struct sasl *s, struct str offered, struct str allowed)
{
	size_t best = SIZE_MAX;

	*s = (struct sasl){0};
	for (size_t i = 0; i < MECHANISMS; i++) {
		struct str name = str_of(mechanisms[i].name);
		size_t rank = allowed.len ? position(allowed, name) : i;
		if (rank < best && position(offered, name) != SIZE_MAX) {
			best = rank;
			s->mechanism = &mechanisms[i];
		}
	}
	return s->mechanism ? 0 : -1;
}

const char *
sasl_name(const struct sasl *s)
{
	return s->mechanism->name;
}

void
sasl_start(struct sasl *s, struct str user, struct str password, struct str nonce)
{
	*s = (struct sasl){
		.mechanism = s->mechanism,
		.user = user,
		.password = password,
		.nonce = nonce,
		.done = !s->mechanism->mutual,
	};
}

bool
sasl_client_first(const struct sasl *s)
{
	return s->mechanism->client_first;
}

ptrdiff_t
sasl_step(struct sasl *s, struct str challenge, char *out, size_t cap, const char **why)
{
	/* It would end the name early in PLAIN, and has no place in the others. */
	if (str_find(s->user, '\0') < s->user.len ||
	    str_find(s->password, '\0') < s->password.len)
		return fail(why, "user or password holds a NUL byte");
	ptrdiff_t n = s->mechanism->step(s, challenge, out, cap, why);
	s->step++;
	if (n < 0) {
		/* What did not fit begins with secrets; what follows would stand on nothing. */
		explicit_bzero(out, cap);
		s->step = STEP_NEVER;
	}
	return n;
}

int
sasl_finish(struct sasl *s, const char **why)
{
	if (s->done)
		return 0;
	return (int)fail(why, "the server has not shown that it knows the password");
}

void
sasl_wipe(struct sasl *s)
{
	explicit_bzero(s, sizeof *s);
}
