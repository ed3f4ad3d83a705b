/* SPDX-License-Identifier: ISC */
/*
 * Bytes that anybody may have written, for a person's terminal or a program: what could steer
 * the one or break the other's grammar does not get through. UTF-8 (RFC 3629) stays as it is.
 */
#ifndef QUOTE_H
#define QUOTE_H

#include "buf.h"

/* Appends s with '?' for each byte that belongs to no printable character, but for those in
 * keep. */
void quote_text(struct str s, const char *keep, struct buf *out);

/* Appends s as a JSON string (RFC 8259), its quotes included; for what cannot be printed its
 * escape, or U+FFFD for each byte that is not ASCII. */
void quote_json(struct str s, struct buf *out);

#endif
