/* SPDX-License-Identifier: ISC */
/*
 * The calendar: from seconds since 1970, negative before, to a date and a time of day in UTC.
 * Its own arithmetic, no time zone data.
 */
#ifndef CALENDAR_H
#define CALENDAR_H

#include <stdint.h>

struct calendar {
	int64_t year;
	unsigned month, day; /* from 1 */
	unsigned weekday;    /* from 0, Sunday */
	unsigned hour, minute, second;
};

struct calendar calendar_at(int64_t wall);

#endif
