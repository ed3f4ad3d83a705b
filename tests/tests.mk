# The tests. `make test` runs all; `make unit-addr` one unit test with everything it prints.

UNIT_CC    ?= $(HOSTCC)
SANITIZE   ?= -fsanitize=address,undefined -fno-sanitize-recover=all
# FIRST_MEMORY=0: core/buf.c leaves all to the heap, where the sanitizers see each piece.
UNIT_FLAGS = $(LANG_FLAGS) -DFIRST_MEMORY=0 -g -O1 $(SANITIZE) -fno-omit-frame-pointer
UNIT_TESTS = $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_CORE  = $(filter $(patsubst core/%.c,%,$(wildcard core/*.c)),$(CORE))

$B/unit/core/%.o: core/%.c $B/config.h
	@mkdir -p $(@D)
	$(Q)$(UNIT_CC) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<

$B/unit/libcore.a: $(UNIT_CORE:%=$B/unit/core/%.o)
	@rm -f $@
	@ar rcs $@ $^

$B/unit/test_%: tests/unit/test_%.c $B/unit/libcore.a
	$(Q)$(UNIT_CC) $(UNIT_FLAGS) -DTOP='"$(CURDIR)"' -MMD -MP -o $@ $< $B/unit/libcore.a -lcmocka -lbearssl

$B/unit/judge: tests/chains/judge.c $B/unit/libcore.a
	$(Q)$(UNIT_CC) $(UNIT_FLAGS) -MMD -MP -o $@ $< $B/unit/libcore.a -lbearssl

# tests/fault: one system call of a process tree goes wrong. Static, to run as any user.
$B/inject: tests/fault/inject.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu11 $(WARN) -O1 -static -o $@ $<

unit-%: $B/unit/test_%
	CMOCKA_MESSAGE_OUTPUT=TAP $<

-include $(wildcard $B/unit/core/*.d $B/unit/*.d)
.PRECIOUS: $B/unit/test_% $B/unit/core/%.o

CHECKS = order='scripts/check-order $(ORDER)' \
	pure='scripts/check-pure $(NM) $B/core $(filter $(CORE),$(PURE))' \
	build='scripts/check-build $B' \
	conf-page='scripts/check-conf-page' \
	options='scripts/check-options' \
	readme='scripts/check-readme' \
	pages='scripts/check-pages'
# tests/table: programs that print TAP.
TABLES = flags exits messages hostile spool wakes strain
# tests/hostile: the same, against servers.
HOSTILE = replies tls smuggling
BATS = $(patsubst tests/applet/%.bats,%,$(wildcard tests/applet/*.bats))

# Everything, set-up included. Ends with "N passed, N failed".
test:
	@scripts/setup test
	@$(MAKE) -s run-tests

# For the servers of the past.
$B/legacy/mtabox: $B/mtabox FORCE
	@mkdir -p $(@D)
	@[ ! -d $B/bearssl-lib ] || ln -sfn ../bearssl-lib $(@D)/bearssl-lib
	@$(MAKE) -s B=$(@D) TLS_LEGACY=1 $@

run-tests: $B/mtabox $B/legacy/mtabox $(UNIT_TESTS:%=$B/unit/%) $B/unit/judge $B/inject
	@MTABOX=$(abspath $B/mtabox) scripts/run-tests $(CHECKS) \
		$(foreach t,$(UNIT_TESTS),$(t:test_%=unit-%)=$B/unit/$t) \
		chains='tests/chains/chains.py $B/unit/judge' \
		$(foreach t,$(TABLES),table-$t=tests/table/$t.py) \
		$(foreach t,$(HOSTILE),hostile-$t=tests/hostile/$t.py) \
		$(foreach t,$(BATS),applet-$t='bats --tap tests/applet/$t.bats') \
		fault='INJECT=$(abspath $B/inject) tests/fault/suite.py' \
		power=tests/power/suite.py filesystems=tests/power/filesystems.py \
		defects='B=$(abspath $B) tests/defects/suite.py' \
		callers=tests/callers/run interop=tests/interop/run

# Power cuts: many more states than run-tests tries.
power: $B/mtabox
	@MTABOX=$(abspath $B/mtabox) tests/power/suite.py 3000
	@MTABOX=$(abspath $B/mtabox) tests/power/filesystems.py 200

# tests/fault/TABLE.md anew: every fault at every system call of every operation.
fault: $B/mtabox $B/inject
	@MTABOX=$(abspath $B/mtabox) INJECT=$(abspath $B/inject) tests/fault/suite.py all >$B/fault-table
	@cp $B/fault-table tests/fault/TABLE.md
	@cat tests/fault/TABLE.md

# tests/defects/TABLE.md anew: each sync, lock and error check left out, and whether a test says so.
defects: $B/mtabox $B/unit/libcore.a $B/inject
	@B=$(abspath $B) tests/defects/suite.py all
	@cat tests/defects/TABLE.md

# Real servers: the run as TAP, then the matrix, each row of which the run has seen.
test-interop: $B/mtabox $B/legacy/mtabox
	@scripts/setup-servers
	@MTABOX=$(abspath $B/mtabox) tests/interop/run
	@cat tests/interop/MATRIX.md

# tests/interop/MATRIX.md anew.

interop-matrix: $B/mtabox $B/legacy/mtabox
	@scripts/setup-servers
	@MTABOX=$(abspath $B/mtabox) tests/interop/run table >$B/interop-matrix
	@cp $B/interop-matrix tests/interop/MATRIX.md
	@cat tests/interop/MATRIX.md

# tests/callers/TABLE.md anew: what the real callers pass, and what arrives.
callers-table: $B/mtabox
	@scripts/setup-callers
	@MTABOX=$(abspath $B/mtabox) tests/callers/run table >$B/callers-table
	@cp $B/callers-table tests/callers/TABLE.md

# 10,000 messages, and more of all the rest that strains a queue.
stress: $B/mtabox
	@for seed in 1 2 3; do MTABOX=$(abspath $B/mtabox) tests/table/strain.py $$seed 10000 || exit; done
	@MTABOX=$(abspath $B/mtabox) tests/table/spool.py 2 5000
	@MTABOX=$(abspath $B/mtabox) tests/table/wakes.py 200

# Figures, never asserted. What a message costs, beside other mail systems, which are fetched first.
bench: $B/mtabox $B/bench/floor
	@scripts/setup-bench
	@MTABOX=$(abspath $B/mtabox) tests/bench/submit $B/bench/floor

# The same, into README.md.
bench-table: $B/mtabox $B/bench/floor
	@scripts/bench-table $B

bench-recipients: $B/mtabox
	@MTABOX=$(abspath $B/mtabox) tests/bench/recipients

# Listing, beside nullmailer and Postfix, which are fetched first.
bench-mailq: $B/mtabox
	@MTABOX=$(abspath $B/mtabox) tests/bench/mailq

bench-memory: $B/mtabox
	@MTABOX=$(abspath $B/mtabox) tests/bench/memory
	@MTABOX=$(abspath $B/mtabox) tests/bench/tls

# A queue to a server over TLS, beside other mail systems; then over a slow line.
bench-relay: $B/mtabox
	@scripts/setup-bench
	@MTABOX=$(abspath $B/mtabox) HOSTCC='$(HOSTCC)' tests/bench/relay
	@MTABOX=$(abspath $B/mtabox) HOSTCC='$(HOSTCC)' tests/bench/relay 200 50

$B/bench/floor: tests/bench/floor.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(STATIC) -o $@ $<

.PHONY: test stress run-tests fault power defects test-interop interop-matrix callers-table bench bench-table bench-recipients bench-mailq bench-memory bench-relay
