# mtabox: one static binary. Start with `make demo` or `make test`; `make help` lists the rest.

# Core modules, bottom to top: the object list, the reading order and the law.
# A module may include only modules to its left (scripts/check-order).
BASE  = fmt calendar nap str log room buf stamp clock io file
FORM  = args quote outcome codec date ip addr text header alias url conf rewrite notify envelope journal retry route outage
PROTO = mac ntlm sasl reply offer login smtp smtpd socks encode parcel wire render dsn
WORLD = spool choice rr dns net cert curve pem trust identity tls channel talk sandbox worker user trace mbox maildir pipe local secret reach relay
TOP   = site agenda probe verify submit session held attempt crew dispatch direct watch queue runner
ORDER = $(BASE) $(FORM) $(PROTO) $(WORLD) $(TOP)
# These reach no system call, clock, environment or log (scripts/check-pure).
PURE  = fmt calendar str room buf stamp $(FORM) $(PROTO) rr cert agenda

# Features: a 0 leaves the files out.
TLS  ?= 1
AUTH ?= 1
# Servers of the past as well: TLS 1.0 and 1.1, CBC, RSA key exchange, SHA-1 certificates.
TLS_LEGACY ?= 0
# BearSSL's own code for P-256: 7 kB, and 13 million instructions less for each signature.
FAST_P256 ?= 0
OFF-$(TLS)  += cert curve pem trust identity tls
OFF-$(AUTH) += mac ntlm sasl login
CORE = $(filter-out $(OFF-0),$(ORDER))
APPLETS = main sendmail mailq newaliases deliver

# Tools. CROSS_COMPILE=mips-linux-musl- builds for another machine.
ifdef CROSS_COMPILE
CC = $(CROSS_COMPILE)gcc
else ifeq ($(origin CC),default)
CC = musl-gcc
endif
AR     = $(CROSS_COMPILE)ar
NM     = $(CROSS_COMPILE)nm
SIZE   = $(CROSS_COMPILE)size
STRIP  = $(CROSS_COMPILE)strip
HOSTCC ?= gcc
PREFIX ?= /usr
B      ?= build
# Small, as measured; a compiler that does not know -Oz (gcc before 12) is told -Os.
understood = $(shell $(CC) $1 -Werror -E -x c /dev/null >/dev/null 2>&1 && echo '$1')
ifndef CFLAGS
CFLAGS := $(or $(call understood,-Oz -fno-jump-tables -fno-inline-functions-called-once),-Os)
endif
# The linker optimises the whole program, BearSSL included; LTO= does without. Fat objects are
# ordinary ones besides: for nm, size, and any ar.
LTO    ?= -flto -flto-partition=one -ffat-lto-objects
WARN   = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
LANG_FLAGS = -std=c11 -D_GNU_SOURCE -Iinclude -I$B -isystem $(BEARSSL_INC) $(WARN)
# Without a dynamic linker nobody would act on RELRO, for which the file has a page of padding.
STATIC = -static -no-pie -fno-pie -Wl,--gc-sections -Wl,-z,noseparate-code -Wl,--build-id=none \
	-Wl,-z,norelro
# Functions stay where scripts/layout.names has them, not where the compiler thinks they are hot.
CODE   = -fno-pie -fno-asynchronous-unwind-tables -fno-stack-protector -ffunction-sections -fdata-sections \
	-fomit-frame-pointer -fno-reorder-functions
COMPILE = $(CFLAGS) $(LTO) $(CODE) -ffile-prefix-map=$(CURDIR)=.
LINK   = $(CFLAGS) $(LTO) $(CODE) $(STATIC) -Wl,-T,$B/layout.ld $(LDFLAGS)

# BearSSL: its own source (scripts/setup puts it there), or BEARSSL=dir: a source tree or an
# installation.
BEARSSL ?= build/bearssl
BEARSSL_INC = $(firstword $(dir $(wildcard $(BEARSSL)/inc/bearssl.h $(BEARSSL)/include/bearssl.h)) $(BEARSSL)/inc)
ifneq ($(wildcard $(BEARSSL)/lib/libbearssl.a),)
BEARSSL_LIB = $(BEARSSL)/lib/libbearssl.a
else
BEARSSL_LIB = $B/bearssl-lib/libbearssl.a
endif

# What "the clock can be believed" and the binary's bytes depend on.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date -r Makefile +%s)
VERSION ?= 0.1

# V=1 shows the commands.
Q = $(if $(V),,@)

OBJ = $(CORE:%=$B/core/%.o) $(APPLETS:%=$B/applets/%.o)

all: $B/mtabox

$B/mtabox: $(OBJ) $(BEARSSL_LIB) $B/layout.ld
	$(Q)$(CC) $(LINK) -o $@.full $(OBJ) $(BEARSSL_LIB)
	$(Q)$(STRIP) -s -R .comment -o $@ $@.full

$B/layout.ld: scripts/layout scripts/layout.names
	@mkdir -p $(@D)
	$(Q)scripts/layout scripts/layout.names >$@

$B/core/%.o: core/%.c $B/config.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(LANG_FLAGS) $(COMPILE) -MMD -MP -c -o $@ $<

$B/applets/%.o: applets/%.c $B/config.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(LANG_FLAGS) $(COMPILE) -MMD -MP -c -o $@ $<

# Written only when its content changes.
$B/config.h: FORCE $(BEARSSL_INC)/bearssl.h
	@mkdir -p $B
	@printf '%s\n' '/* $(CC) $(CFLAGS) $(LTO) */' '#define CONFIG_TLS $(TLS)' \
		'#define CONFIG_TLS_LEGACY $(TLS_LEGACY)' '#define CONFIG_AUTH $(AUTH)' \
		'#define CONFIG_FAST_P256 $(FAST_P256)' \
		'#define BUILD_TIME $(SOURCE_DATE_EPOCH)LL' '#define VERSION "$(VERSION)"' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Other flags or another patch: all of BearSSL anew.
$B/bearssl-lib/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS) $(LTO) $(CODE)' | cat - $(wildcard $(BEARSSL)/bearssl.patch) >$@.new
	@cmp -s $@.new $@ && rm $@.new || { rm -rf $(@D)/obj; mv $@.new $@; }

$(BEARSSL)/inc/bearssl.h:
	@echo "mtabox: no BearSSL in $(BEARSSL): run scripts/setup, or give BEARSSL=dir" >&2; exit 1

$B/bearssl-lib/libbearssl.a: $B/bearssl-lib/flags | $(BEARSSL_INC)/bearssl.h
	@echo "building BearSSL (about half a minute)"
	@$(MAKE) -s -C $(BEARSSL) BUILD=$(abspath $B/bearssl-lib) CC='$(CC)' AR='$(AR)' \
		CFLAGS='-W -Wall $(CFLAGS) $(LTO) $(CODE)' DLL=no TOOLS=no TESTS=no lib >$B/bearssl.log 2>&1 || \
		{ tail -20 $B/bearssl.log; exit 1; }

include tests/tests.mk

install: $B/mtabox
	scripts/install $B/mtabox "$(DESTDIR)" "$(PREFIX)"

# Modules can be told apart only where they are linked as they are.
size: $B/mtabox
	@$(CC) $(LINK) -fno-lto -Wl,-Map=$B/mtabox.map -o $B/mtabox.apart $(OBJ) $(BEARSSL_LIB)
	@scripts/size $B '$(SIZE)' $(CORE) -- $(APPLETS)

# scripts/layout.names anew: which functions run together.
layout: $B/mtabox
	@$(CC) $(LINK) -Wl,-Map=$B/layout.map -o $B/layout.full $(OBJ) $(BEARSSL_LIB)
	@tests/bench/layout $B/layout.full $B/layout.map >$B/layout.names
	@cp $B/layout.names scripts/layout.names

# README.md's table.
size-table: $B/mtabox
	@scripts/size-table $B

demo:
	@scripts/setup test
	@$(MAKE) -s $B/mtabox
	@scripts/demo $B/mtabox

clean:
	rm -rf $B/core $B/applets $B/unit $B/mtabox* $B/layout* $B/config.h

help:
	@echo 'make            build/mtabox (features: TLS=0 AUTH=0 TLS_LEGACY=1; CROSS_COMPILE=, BEARSSL=dir)'
	@echo 'make demo       set up, build, and see two mails arrive'
	@echo 'make test       set up, build, and run every test'
	@echo 'make fault      every fault at every system call, as a table (some twenty minutes)'
	@echo 'make power      power cuts: many more states of the disk than make test tries (half an hour)'
	@echo 'make defects    each sync, lock and error check left out: which do the tests notice?'
	@echo 'make size       bytes for each module; make size-table: the table in README.md'
	@echo 'make layout     which functions the linker puts side by side, from what runs now'
	@echo 'make bench      what a message costs beside other mail systems (fetched); bench-table: into README.md;'
	@echo '  bench-mailq: listing; bench-relay: a queue over TLS; bench-recipients; bench-memory'
	@echo 'make stress     the queue under strain: 10,000 messages'
	@echo 'make install    DESTDIR= PREFIX=/usr'

FORCE:
.PHONY: all install size layout size-table demo clean help FORCE
.DELETE_ON_ERROR:
-include $(OBJ:.o=.d)
