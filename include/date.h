/* SPDX-License-Identifier: ISC */
/*
 * Dates as numbers and as text, by the calendar's own arithmetic: no time zone data, no
 * locale. Seconds since 1970 in int64_t, negative before.
 */
#ifndef DATE_H
#define DATE_H

#include "buf.h"

/* RFC 5322 3.3 in UTC: "Thu, 01 Jan 1970 00:00:00 +0000". */
void date_print(int64_t wall, struct buf *out);
/* asctime's form in UTC, for an mbox From_ line: "Thu Jan  1 00:00:00 1970". */
void date_print_mbox(int64_t wall, struct buf *out);
/* "1970-01-01 00:00:00". */
void date_print_iso(int64_t wall, struct buf *out);
/* A length of time for people: "45s", "12m", "3h20m", "5d4h". */
void date_print_interval(int64_t seconds, struct buf *out);

#endif
