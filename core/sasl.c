/* SPDX-License-Identifier: ISC */
#include "sasl.h"
#include "codec.h"
#include "fmt.h"
#include "mac.h"
#include "ntlm.h"

#include <string.h>

enum {
	HASH = br_sha256_SIZE, /* the longest of SCRAM's */
	SALT = 256,
	/* Some 8 G instructions, estimated at 20 s on a 600 MHz MIPS; servers are known to ask
	 * for 4096 to 600000. */
	ITERATIONS = 1000000,
	STEP_NEVER = 100,
};

/* As sasl_step, for s->step: 0 for the first call. NULL, or what is wrong. */
typedef const char *step(struct sasl *s, struct str challenge, struct room *out);

enum {
	CLIENT_FIRST = 1,
	MUTUAL = 2,  /* the server proves itself */
	BOUND = 4,   /* to the TLS channel */
	NAMED = 8,   /* used only where auth_mechanisms has it */
	PROSE = 16,  /* what the server says first is for people */
	STANDARD = 32, /* OAuth as RFC 7628 has it */
};

struct sasl_mechanism {
	const char *name;
	step *step;
	unsigned traits;
	const br_hash_class *hash; /* SCRAM's */
};

static const char unexpected[] = "the server goes on asking after the last step of AUTH";

/* The rest of s from text on (any case), or an empty range. */
static struct str
find_text(struct str s, struct str text)
{
	while (s.len > 0 && !str_istarts(s, text))
		s = str_from(s, 1);
	return s;
}

/* The server says what is wrong, in a challenge that asks for nothing but an answer: its
 * verdict follows. */
static void
note(struct sasl *s, struct str words)
{
	fmt_print(s->error, sizeof s->error, "%.*s", STR_ARG(words));
	s->step = STEP_NEVER;
}

/* A saslname (RFC 5802 5.1). User names go as they are: SASLprep changes none that servers
 * are known to give out. */
static void
put_name(struct room *out, struct str user)
{
	for (size_t i = 0; i < user.len; i++) {
		char c = user.ptr[i];
		if (c == ',' || c == '=')
			room_add(out, c == ',' ? "=2C" : "=3D", 3);
		else
			room_add(out, &c, 1);
	}
}

static const char *
plain_step(struct sasl *s, struct str challenge, struct room *out)
{
	(void)challenge;
	if (s->step > 0)
		return unexpected;
	room_add(out, "", 1);
	room_str(out, s->user);
	room_add(out, "", 1);
	room_str(out, s->password);
	return NULL;
}

/* Never standardised: what the prompts say is anybody's guess, their order is not. */
static const char *
login_step(struct sasl *s, struct str challenge, struct room *out)
{
	(void)challenge;
	if (s->step > 1)
		return unexpected;
	room_str(out, s->step == 0 ? s->user : s->password);
	return NULL;
}

/* Who we are the server knows from TLS or the socket; as whom we want to act it is told. */
static const char *
external_step(struct sasl *s, struct str challenge, struct room *out)
{
	(void)challenge;
	if (s->step > 0)
		return unexpected;
	room_str(out, s->user);
	return NULL;
}

static const char *
cram_step(struct sasl *s, struct str challenge, struct room *out)
{
	unsigned char digest[br_md5_SIZE];

	if (s->step > 0)
		return unexpected;
	mac(&br_md5_vtable, s->password, &challenge, 1, digest);
	room_str(out, s->user);
	room_add(out, " ", 1);
	for (size_t i = 0; i < 2 * sizeof digest; i++)
		room_add(out, &"0123456789abcdef"[digest[i / 2] >> (i % 2 ? 0 : 4) & 15], 1);
	return NULL;
}

static const char *
ntlm_step(struct sasl *s, struct str challenge, struct room *out)
{
	if (s->step > 1)
		return unexpected;
	if (s->step > 0)
		return ntlm_authenticate(challenge, s->user, s->password, s->nonce, out);
	ntlm_negotiate(out);
	return NULL;
}

/* The word for what is wrong in a server's JSON (RFC 7628 3.2.2), or as much of it as there
 * is room for. */
static void
note_status(struct sasl *s, struct str json)
{
	struct str status = find_text(json, STR("\"status\""));

	for (unsigned quotes = 0; quotes < 3; quotes++)
		str_cut(&status, '"');
	status = str_cut(&status, '"');
	note(s, status.len > 0 ? status : json);
}

/* A bearer token, in RFC 7628's way or in the one that came before. */
static const char *
oauth_step(struct sasl *s, struct str challenge, struct room *out)
{
	bool standard = s->mechanism->traits & STANDARD;

	if (s->step > 1)
		return unexpected;
	if (s->step > 0) {
		note_status(s, challenge);
		room_add(out, "\1", standard);
		return NULL;
	}
	if (standard) {
		room_str(out, STR("n,a="));
		put_name(out, s->user);
		room_add(out, ",", 1);
	} else {
		room_str(out, STR("user="));
		room_str(out, s->user);
	}
	room_str(out, STR("\1auth=Bearer "));
	room_str(out, s->password);
	room_str(out, STR("\1\1"));
	return NULL;
}

/* Hi() of RFC 5802 2.2, which is PBKDF2 with one block. */
static void
salted_password(const br_hash_class *hash, struct str password, struct str salt,
		uint64_t iterations, unsigned char out[static HASH])
{
	unsigned char u[HASH];
	const struct str last = {(const char *)u, mac_size(hash)};
	br_hmac_key_context key;

	br_hmac_key_init(&key, hash, password.ptr, password.len);
	mac_prepared(&key, (const struct str[]){salt, {"\0\0\0\1", 4}}, 2, u);
	memcpy(out, u, last.len);
	while (--iterations > 0) {
		mac_prepared(&key, &last, 1, u);
		for (size_t i = 0; i < last.len; i++)
			out[i] ^= u[i];
	}
	explicit_bzero(u, sizeof u);
	explicit_bzero(&key, sizeof key);
}

static void
keyed(const struct sasl *s, const unsigned char *key, const struct str *parts, size_t count,
      unsigned char *out)
{
	const br_hash_class *hash = s->mechanism->hash;

	mac(hash, (struct str){(const char *)key, mac_size(hash)}, parts, count, out);
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
	const br_hash_class *hash = s->mechanism->hash;
	struct {
		unsigned char salted[HASH], key[HASH], stored[HASH];
		br_hash_compat_context ctx;
	} w;

	salted_password(hash, s->password, salt, iterations, w.salted);
	keyed(s, w.salted, &STR("Server Key"), 1, w.key);
	keyed(s, w.key, message, PARTS, s->scram.server_signature);
	keyed(s, w.salted, &STR("Client Key"), 1, w.key);
	hash->init(&w.ctx.vtable);
	hash->update(&w.ctx.vtable, w.key, mac_size(hash));
	hash->out(&w.ctx.vtable, w.stored);
	keyed(s, w.stored, message, PARTS, proof);
	for (size_t i = 0; i < mac_size(hash); i++)
		proof[i] ^= w.key[i];
	explicit_bzero(&w, sizeof w);
}

/* Takes the attribute "name=value" off *rest. */
static bool
attribute(struct str *rest, char name, struct str *value)
{
	struct str a = str_cut(rest, ',');

	*value = str_from(a, 2);
	return a.len >= 2 && a.ptr[0] == name && a.ptr[1] == '=';
}

/* gs2-header (RFC 5802 7). Where the server could bind, and its offer was lost on the way,
 * "y" makes it notice. */
static const char *
scram_header(const struct sasl *s)
{
	if (s->mechanism->traits & BOUND)
		return "p=tls-server-end-point,,";
	return s->unmatched ? "y,," : "n,,";
}

static const char *
scram_first(struct sasl *s, struct room *out)
{
	struct room bare = {s->scram.first_bare, 0, sizeof s->scram.first_bare};

	room_str(&bare, STR("n="));
	put_name(&bare, s->user);
	room_str(&bare, STR(",r="));
	room_str(&bare, s->nonce);
	if (!room_fits(&bare))
		return "user name is too long for SCRAM";
	s->scram.first_bare_len = bare.len;
	room_str(out, str_of(scram_header(s)));
	room_str(out, room_view(&bare));
	return NULL;
}

static void
put_base64(struct room *out, struct str s)
{
	char *at = room_take(out, CODEC_BASE64_SIZE(s.len));

	if (at)
		codec_base64(s, at);
}

/* client-final-message-without-proof. */
static void
put_final_bare(const struct sasl *s, struct str nonce, struct room *out)
{
	char bytes[24 + SASL_BINDING];
	struct room binding = {bytes, 0, sizeof bytes};

	room_str(&binding, str_of(scram_header(s)));
	if (s->mechanism->traits & BOUND)
		room_str(&binding, s->binding);
	room_str(out, STR("c="));
	put_base64(out, room_view(&binding));
	room_str(out, STR(",r="));
	room_str(out, nonce);
}

static const char *
scram_final(struct sasl *s, struct str challenge, struct room *out)
{
	struct str rest = challenge, nonce, salt64, count;
	char salt[SALT];
	unsigned char proof[HASH];
	uint64_t iterations;

	if (!attribute(&rest, 'r', &nonce) || !attribute(&rest, 's', &salt64) ||
	    !attribute(&rest, 'i', &count))
		return "the server's SCRAM challenge is malformed";
	/* Without a part of its own a listener could play an old exchange back to us. */
	if (!str_starts(nonce, s->nonce) || nonce.len == s->nonce.len)
		return "the server's SCRAM nonce does not continue ours";
	ptrdiff_t salt_len = codec_unbase64(salt64, salt, sizeof salt);
	if (salt_len <= 0)
		return "the server's SCRAM salt is malformed";
	if (str_number(count, ITERATIONS, &iterations) || iterations == 0)
		return "the server asks for no or too many SCRAM iterations";

	put_final_bare(s, nonce, out);
	if (!room_fits(out))
		return "the server's SCRAM nonce is too long";
	scram_proofs(s, (struct str){salt, (size_t)salt_len}, iterations, challenge,
		     room_view(out), proof);
	room_str(out, STR(",p="));
	put_base64(out, (struct str){(const char *)proof, mac_size(s->mechanism->hash)});
	s->proved = true;
	return NULL;
}

/* The server's last word, if it is not an error: that it knows the password too. */
static const char *
scram_verify(struct sasl *s, struct str challenge)
{
	const size_t size = mac_size(s->mechanism->hash);
	char signature[HASH];
	struct str value;
	unsigned difference = 0;

	if (!attribute(&challenge, 'v', &value) ||
	    codec_unbase64(value, signature, sizeof signature) != (ptrdiff_t)size)
		return "the server's SCRAM signature is malformed";
	for (size_t i = 0; i < size; i++)
		difference |= (unsigned char)signature[i] ^ s->scram.server_signature[i];
	if (difference)
		return "the server does not know the password: it is not ours";
	s->done = true;
	return NULL;
}

static const char *
scram_step(struct sasl *s, struct str challenge, struct room *out)
{
	struct str error, rest = challenge;

	if (s->step == 0)
		return scram_first(s, out);
	if (s->step > 2)
		return unexpected;
	if (attribute(&rest, 'e', &error)) {
		note(s, error);
		return NULL;
	}
	return s->step == 1 ? scram_final(s, challenge, out) : scram_verify(s, challenge);
}

/* Strongest first; a password is a token only where the server takes nothing else. */
static const struct sasl_mechanism mechanisms[] = {
	{"SCRAM-SHA-256-PLUS", scram_step, CLIENT_FIRST | MUTUAL | BOUND, &br_sha256_vtable},
	{"SCRAM-SHA-1-PLUS", scram_step, CLIENT_FIRST | MUTUAL | BOUND, &br_sha1_vtable},
	{"SCRAM-SHA-256", scram_step, CLIENT_FIRST | MUTUAL, &br_sha256_vtable},
	{"SCRAM-SHA-1", scram_step, CLIENT_FIRST | MUTUAL, &br_sha1_vtable},
	{"CRAM-MD5", cram_step, 0, NULL},
	{"PLAIN", plain_step, CLIENT_FIRST, NULL},
	{"LOGIN", login_step, 0, NULL},
	{"NTLM", ntlm_step, PROSE, NULL},
	{"OAUTHBEARER", oauth_step, CLIENT_FIRST | STANDARD, NULL},
	{"XOAUTH2", oauth_step, CLIENT_FIRST, NULL},
	{"EXTERNAL", external_step, CLIENT_FIRST | NAMED, NULL},
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
sasl_pick(struct sasl *s, struct str offered, struct str allowed, struct str binding)
{
	size_t best = SIZE_MAX;
	bool bindable = false;

	*s = (struct sasl){.binding = binding};
	for (size_t i = 0; i < MECHANISMS; i++) {
		const struct sasl_mechanism *m = &mechanisms[i];
		struct str name = str_of(m->name);
		size_t rank = allowed.len ? position(allowed, name) :
			      m->traits & NAMED ? SIZE_MAX : i;
		if (rank == SIZE_MAX || (m->traits & BOUND && binding.len == 0))
			continue;
		bindable |= m->traits & BOUND;
		if (rank < best && position(offered, name) != SIZE_MAX) {
			best = rank;
			s->mechanism = m;
		}
	}
	/* Also where it is a mechanism that we have not, it is an offer. */
	s->unmatched = bindable && find_text(offered, STR("-PLUS")).len == 0;
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
		.binding = s->binding,
		.unmatched = s->unmatched,
		.done = !(s->mechanism->traits & MUTUAL),
	};
}

bool
sasl_client_first(const struct sasl *s)
{
	return s->mechanism->traits & CLIENT_FIRST;
}

bool
sasl_takes_prose(const struct sasl *s)
{
	return s->step == 0 && (s->mechanism->traits & PROSE);
}

/* Characters that would end a name or a token early: PLAIN's NUL, OAuth's ^A. */
static bool
is_sendable(struct str s)
{
	return str_find(s, '\0') == s.len && str_find(s, '\1') == s.len;
}

ptrdiff_t
sasl_step(struct sasl *s, struct str challenge, char *out, size_t cap, const char **why)
{
	struct room room = {out, 0, cap};

	*why = "user or password holds a control character";
	if (is_sendable(s->user) && is_sendable(s->password))
		*why = s->mechanism->step(s, challenge, &room);
	if (!*why && !room_fits(&room))
		*why = "user or password is too long";
	s->step++;
	if (!*why)
		return (ptrdiff_t)room.len;
	/* What did not fit begins with secrets; what follows would stand on nothing. */
	explicit_bzero(out, cap);
	s->step = STEP_NEVER;
	return -1;
}

int
sasl_finish(struct sasl *s, const char **why)
{
	*why = s->done ? NULL : "the server has not shown that it knows the password";
	return s->done ? 0 : -1;
}

bool
sasl_refused_binding(const struct sasl *s)
{
	return s->mechanism->traits & BOUND && !s->proved;
}

void
sasl_wipe(struct sasl *s)
{
	explicit_bzero(s, sizeof *s);
}
