/* SPDX-License-Identifier: ISC */
/* IP addresses as text: dotted (no leading zeros: others read those as octal), and RFC 4291's. */
#ifndef IP_H
#define IP_H

#include "buf.h"

enum { IP4 = 4, IP6 = 16 }; /* bytes of an address, in network order */

/* How many bytes it has; 0: not an address. */
size_t ip_parse(struct str s, unsigned char bytes[static IP6]);

/* "192.0.2.1", "2001:db8::1". len: IP4 or IP6. */
void ip_print(const unsigned char *bytes, size_t len, struct buf *out);

#endif
