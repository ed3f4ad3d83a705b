# The tests. `make test` runs all; `make unit-addr` one unit test with everything it prints.

UNIT_CC    ?= $(HOSTCC)
SANITIZE   ?= -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_FLAGS = $(LANG_FLAGS) -g -O1 $(SANITIZE) -fno-omit-frame-pointer
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

unit-%: $B/unit/test_%
	CMOCKA_MESSAGE_OUTPUT=TAP $<

-include $(wildcard $B/unit/core/*.d $B/unit/*.d)
.PRECIOUS: $B/unit/test_% $B/unit/core/%.o
