/* SPDX-License-Identifier: ISC */
#include "ntlm.h"
#include "mac.h"

#include <string.h>

/* Unicode, request target, NTLM, always sign, extended session security, target info: what
 * servers are used to see. No key exchange. */
#define FLAGS "\5\x82\x88\0"

enum {
	KEY = 16,             /* bytes of MD4 and MD5 */
	CHALLENGE_LEN = 48,   /* with the field of the target info, which version 2 needs */
	/* In an AUTHENTICATE_MESSAGE: its payload, the LM response, which comes first; */
	HEAD = 64,
	PROOF = HEAD + 24,    /* and the other, which begins with NTProofStr */
	TIMESTAMP = 7,        /* MsvAvTimestamp */
};

static unsigned
get16(const unsigned char *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static uint32_t
get32(const unsigned char *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint32_t
rotate(uint32_t x, unsigned bits)
{
	return x << bits | x >> (32 - bits);
}

static void
md4_block(uint32_t state[static 4], const unsigned char block[static 64])
{
	static const unsigned char shifts[] = {3, 7, 11, 19, 3, 5, 9, 13, 3, 9, 11, 15};
	static const unsigned char third[] = {
		0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15,
	};
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], sum;

	for (unsigned i = 0; i < 48; i++) {
		if (i < 16)
			sum = ((b & c) | (~b & d)) + get32(block + 4 * i);
		else if (i < 32)
			sum = ((b & c) | (b & d) | (c & d)) + 0x5a827999 +
			      get32(block + i % 4 * 16 + (i - 16) / 4 * 4);
		else
			sum = (b ^ c ^ d) + 0x6ed9eba1 + get32(block + 4 * third[i - 32]);
		sum = rotate(a + sum, shifts[i / 16 * 4 + i % 4]);
		a = d;
		d = c;
		c = b;
		b = sum;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
}

static void
put_zeros(struct room *r, size_t count)
{
	while (count-- > 0)
		room_add(r, "", 1);
}

static void
put32(struct room *r, uint32_t n)
{
	for (size_t i = 0; i < 4; i++, n >>= 8)
		room_add(r, &(const unsigned char){(unsigned char)n}, 1);
}

/* MD4 (RFC 1320) of what is in text, which it pads. */
static void
md4(struct room *text, unsigned char out[static KEY])
{
	uint32_t state[] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
	struct room digest = {(char *)out, 0, KEY};
	size_t bits = text->len * 8;

	room_add(text, "\x80", 1);
	while (room_fits(text) && text->len % 64 != 56)
		put_zeros(text, 1);
	put32(text, (uint32_t)bits);
	put_zeros(text, 4);
	for (size_t i = 0; room_fits(text) && i < text->len; i += 64)
		md4_block(state, (const unsigned char *)text->ptr + i);
	for (size_t i = 0; i < 4; i++)
		put32(&digest, state[i]);
	explicit_bzero(state, sizeof state);
}

static void
put_unit(struct room *r, uint32_t c)
{
	room_add(r, (const unsigned char[]){(unsigned char)c, (unsigned char)(c >> 8)}, 2);
}

/* UTF-8 as little-endian UTF-16; what is no UTF-8 comes out as a name that nobody has. upper:
 * with capital letters as far as ASCII goes; whoever has others in his name writes them so. */
static void
put_text(struct room *r, struct str s, bool upper)
{
	while (s.len > 0) {
		uint32_t c = (unsigned char)*s.ptr;
		if (c >= 0xc0)
			c &= c < 0xe0 ? 0x1f : c < 0xf0 ? 0xf : 7;
		while ((s = str_from(s, 1)).len > 0 && (*s.ptr & 0xc0) == 0x80)
			c = c << 6 | (*s.ptr & 0x3f);
		if (c > 0xffff) {
			put_unit(r, 0xd7c0 + (c >> 10));
			c = 0xdc00 | (c & 0x3ff);
		}
		put_unit(r, upper && c >= 'a' && c <= 'z' ? c - 0x20 : c);
	}
}

static void
md5_mac(const unsigned char key[static KEY], const struct str *parts, size_t count,
	void *out)
{
	mac(&br_md5_vtable, (struct str){(const char *)key, KEY}, parts, count, out);
}

/* NTOWFv2 of 3.3.2. work is room to work in, wiped. False: they are too long for it. */
static bool
make_key(struct str name, struct str domain, struct str password, struct room work,
	 unsigned char key[static KEY])
{
	struct room text = work;

	put_text(&text, password, false);
	md4(&text, key);
	explicit_bzero(work.ptr, work.cap);
	if (!room_fits(&text))
		return false;
	text = work;
	put_text(&text, name, true);
	put_text(&text, domain, false);
	if (!room_fits(&text))
		return false;
	md5_mac(key, &(const struct str){text.ptr, text.len}, 1, key);
	return true;
}

/* What the field at that place of the challenge points to; no pointer: not into it. */
static struct str
field(struct str challenge, size_t at)
{
	const unsigned char *p = (const unsigned char *)challenge.ptr + at;
	size_t len = get16(p), offset = get32(p + 4);

	if (offset > challenge.len || len > challenge.len - offset)
		return (struct str){0};
	return (struct str){challenge.ptr + offset, len};
}

/* The server's time where it gives it; else none, which servers take that do not. */
static const char *
find_time(struct str info)
{
	while (info.len >= 12) {
		const unsigned char *p = (const unsigned char *)info.ptr;
		if (get32(p) == (TIMESTAMP | 8 << 16))
			return info.ptr + 4;
		info = str_from(info, 4 + get16(p + 2));
	}
	return "\0\0\0\0\0\0\0";
}

void
ntlm_negotiate(struct room *out)
{
	room_add(out, "NTLMSSP\0\1\0\0\0" FLAGS, 16);
	put_zeros(out, 16); /* no domain, no workstation */
}

const char *
ntlm_authenticate(struct str challenge, struct str user, struct str password,
		  struct str nonce, struct room *out)
{
	struct room head = *out;
	struct str info, domain = {0};
	unsigned char key[KEY];
	size_t ends[] = {PROOF, 0, 0, 0, 0, 0}, start = HEAD;

	if (challenge.len < CHALLENGE_LEN ||
	    !str_starts(challenge, STR("NTLMSSP\0\2\0\0\0")) ||
	    !(info = field(challenge, CHALLENGE_LEN - 8)).ptr)
		return "the server's NTLM challenge is malformed, or of version 1";
	if (str_find(user, '\\') < user.len)
		domain = str_cut(&user, '\\');
	if (!make_key(user, domain, password, head, key))
		return "user or password is too long";

	/* No LM response; the proof's place; temp of 3.3.2, which is proved to be ours. */
	put_zeros(out, PROOF + KEY);
	room_add(out, "\1\1\0\0\0\0\0", 8);
	room_add(out, find_time(info), 8);
	room_add(out, nonce.ptr, NTLM_NONCE);
	put_zeros(out, 4);
	room_str(out, info);
	put_zeros(out, 4);
	ends[1] = out->len;
	put_text(out, domain, false);
	ends[2] = out->len;
	put_text(out, user, false);
	ends[3] = ends[4] = ends[5] = out->len; /* no workstation, no session key */
	if (room_fits(out))
		md5_mac(key, (const struct str[]){
			{challenge.ptr + 24, 8},
			{out->ptr + PROOF + KEY, ends[1] - PROOF - KEY},
		}, 2, out->ptr + PROOF);
	explicit_bzero(key, sizeof key);

	room_add(&head, "NTLMSSP\0\3\0\0\0", 12);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; start = ends[i++]) {
		put_unit(&head, (uint32_t)(ends[i] - start));
		put_unit(&head, (uint32_t)(ends[i] - start));
		put32(&head, (uint32_t)start);
	}
	room_add(&head, FLAGS, 4);
	return NULL;
}
