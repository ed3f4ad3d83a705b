#!/usr/bin/python3 -sSB
# SPDX-License-Identifier: ISC
"""Does the suite notice a sync, a lock or an error check that is not there?

usage: suite.py [SEED [COUNT]]   some that were noticed once must be noticed still; as TAP
       suite.py all              each of them; TABLE.md and noticed.txt anew
       suite.py rest [KIND...]   those only that noticed.txt has not, with tests of these kinds
                                 (unit, fault, applet, table, power; all) that they have not
                                 been shown before; adds to it
       suite.py record [KIND...] only what tests come by
       suite.py table            TABLE.md anew, from noticed.txt and what an earlier run saw
       suite.py one WORDS        those with these words in their names, and what each test says

seed.py finds the places, build.py makes one program with all defects in it, faults.py plays cases
of tests/fault. First each test is run once with a program that is good and writes down which
places it came by: where a sync or a lock was, or a call had failed. Then for each defect those tests
are run, the cheapest first, till one fails. What no test comes by is not noticed.

Tests are what make run-tests runs: unit tests, single tests of bats files, tables, the faults of
its selection, operations of the power cuts. What fails with the good program counts for nothing.
"""
import collections
import ctypes
import functools
import hashlib
import itertools
import json
import multiprocessing
import multiprocessing.util
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import build
import seed

TOP, BUILD, OUT = build.TOP, build.BUILD, build.OUT
JOBS = int(os.environ.get("DEFECT_JOBS", 2 * (os.cpu_count() or 1)))
SECONDS = 60                    # for a test at most; a hang has been noticed
TABLES = "exits messages spool strain".split()
QUICK = "unit", "fault", "power"  # a sample takes no other
OTHERS = ["memory"]  # bats files about what a program with defects has more of
MOST = {"unit": 20, "fault": 16, "applet": 12, "table": 2, "power": 12}  # of each kind, for a defect
NOTICED, EQUIVALENT = HERE + "/noticed.txt", HERE + "/equivalent.txt"
REACHED, TRIED = BUILD + "/defects/reached.json", BUILD + "/defects/tried.json"
PLACES = 4096


# --- tests --------------------------------------------------------------------------------------

def kind_of(test):
    return re.match("[a-z]+", test)[0]


def bats_tests():
    for name in sorted(os.listdir(TOP + "/tests/applet")):
        if name.endswith(".bats") and name[:-5] not in OTHERS:
            with open(f"{TOP}/tests/applet/{name}") as f:
                for what in re.findall(r"(?m)^@test '([^']*)'|^@test \"([^\"]*)\"", f.read()):
                    yield f"applet-{name[:-5]}: {''.join(what)}"


def unit_tests():
    return sorted("unit-" + n[5:-2] for n in os.listdir(TOP + "/tests/unit") if n.endswith(".c"))


def power_tests():
    with open(TOP + "/tests/power/suite.py") as f:
        return ["power " + name for name in re.findall(r'(?m)^@operation\("([^"]*)"', f.read())]


def fault_operations():
    with open(TOP + "/tests/fault/suite.py") as f:
        return re.findall(r'(?m)^    Operation\("([^"]*)"', f.read())


def file_of(test):
    """What the test is written in."""
    kind, name = kind_of(test), test.partition("-")[2].partition(":")[0]
    return {"unit": f"tests/unit/test_{name}.c", "applet": f"tests/applet/{name}.bats",
            "table": f"tests/table/{name}.py", "fault": "tests/fault/suite.py",
            "power": "tests/power/suite.py"}[kind]


class Player:
    """Runs tests, one at a time, with programs of its own."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="mtabox-defects.")
        os.chmod(self.directory, 0o755)
        self.programs, self.faults = {}, None
        self.record = self.directory + "/record"
        self.clear()
        os.chmod(self.record, 0o666)

    def close(self):
        if self.faults:
            self.faults.stdin.close()
            self.faults.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def clear(self):
        with open(self.record, "wb") as f:
            f.write(bytes(PLACES))

    def seen(self):
        with open(self.record, "rb") as f:
            return [n for n, byte in enumerate(f.read()) if byte]

    def program(self, name, defect):
        if name not in self.programs:
            self.programs[name] = build.Program(f"{OUT}/{name}")
        path = f"{self.directory}/{os.path.basename(name)}"
        self.programs[name].write(path, -1 if defect is None else defect,
                                  self.record if defect is None else "")
        return path

    def run(self, test, defect=None, usual=SECONDS):
        """What is wrong, or ""; the seconds it took, which are usually as many. Without a defect,
        self.seen() is the record."""
        begun, limit = time.monotonic(), min(SECONDS, 4 + 3 * int(usual + 1))
        if defect is None:
            self.clear()
        kind, name = kind_of(test), test.partition("-")[2].partition(":")[0]
        if kind == "fault":
            wrong = self.fault(test, defect)
        elif kind == "unit":
            wrong = self.command(limit, [self.program("unit/test_" + name, defect)])
        else:
            program = self.program("mtabox.full", defect)
            if kind == "applet":
                what = re.sub(r"([][.*^$+?(){}|\\])", r"\\\1", test.partition(": ")[2])
                words = ["bats", "--tap", "-f", f"^{what}$", f"{TOP}/{file_of(test)}"]
            elif kind == "table":
                words = [f"{TOP}/{file_of(test)}"]
            else:
                words = [TOP + "/tests/power/suite.py", "60", "1", test.partition(" ")[2]]
            wrong = self.command(limit, words, program)
        return wrong, time.monotonic() - begun

    def command(self, limit, words, program=""):
        """With process numbers of its own: nothing that it starts outlives it."""
        env = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "MTABOX": program,
               "TMPDIR": self.directory}
        done = subprocess.run(
            ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "sh", "-c",
             '"$@"; exit $?', "sh", "timeout", "-k", "5", str(limit), *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            cwd=TOP)
        if done.returncode in (124, 137):
            return "hang"
        text = done.stdout.decode(errors="replace")
        said = re.findall(r"(?m)^not ok.*|^==\d+==ERROR.*|.*runtime error.*", text)
        if done.returncode == 0 and not said:
            return "" if re.search(r"(?m)^ok (?!.*# skip)", text) else "ran nothing"
        return said[0] if said else f"exit {done.returncode} {text[-200:]}"

    def fault(self, test, defect):
        case = test.split(" ")[1:]
        case = [case[0], case[1], int(case[2]), case[3], int(case[4])]
        answer = self.ask({"case": case, "program": self.program("mtabox.full", defect)})
        return answer["wrong"]

    def ask(self, question):
        if not self.faults:
            good = self.directory + "/good"
            build.Program(OUT + "/mtabox.full").write(good)
            self.faults = subprocess.Popen(
                [HERE + "/faults.py", good], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "INJECT": BUILD + "/inject", "MTABOX": good})
        self.faults.stdin.write(json.dumps(question).encode() + b"\n")
        self.faults.stdin.flush()
        line = self.faults.stdout.readline()
        if not line:  # it has ended
            self.faults = None
        return json.loads(line or '{"wrong": ""}')


player = None


def begin_player():
    global player
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # goes with the suite
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    player = Player()
    multiprocessing.util.Finalize(player, player.close, exitpriority=1)


def record(test):
    wrong, seconds = player.run(test)
    return test, wrong, seconds, player.seen()


def list_faults(operation):
    answer = player.ask({"list": operation})
    if isinstance(answer, dict):
        print(f"# fault {operation}: {answer['wrong']}", file=sys.stderr, flush=True)
        return []
    return [" ".join(["fault", *map(str, case)]) for case in answer]


def play(job):
    """The first test that notices the defect, and what it said; else None."""
    number, tests = job
    for test, usual in tests:
        wrong, _ = player.run(test, number, usual)
        # Those with a clock in them may fail for reasons of their own; not twice.
        if wrong and (kind_of(test) == "unit" or player.run(test, number, usual)[0]):
            return (number, test, wrong), ()
    return (number, None, None), [test for test, _ in tests]


# --- which test comes by which place --------------------------------------------------------------

def digest(*paths):
    sum = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            sum.update(f.read())
    return sum.hexdigest()


@functools.cache
def fresh(test):
    """It is the same test for as long as this is."""
    shared = (["tests/defects/faults.py"] if kind_of(test) == "fault" else
              ["tests/unit/calls.h", "tests/unit/silence.h"] if test.endswith("_calls") else [])
    return digest(*(f"{TOP}/{name}" for name in [file_of(test), *shared]))


def load(path):
    if not os.path.exists(path):
        return {}
    with open(path) as f:
        return json.load(f)


def save(path, what):
    with open(path + ".new", "w") as f:
        json.dump(what, f)
    os.rename(path + ".new", path)


def reached(pool, places, again, kinds):
    """{test: (seconds, {place's name})}, of all that are right with the good program. Unless it is to
    be done again, what an earlier run saw counts for tests that stay as they are."""
    known = {} if again else load(REACHED)
    names = [seed.name_of(p) for p in places]
    tests = [*(t for t in unit_tests() if build.has_defects(f"{OUT}/unit/test_{t[5:]}")),
             *power_tests(), *("table-" + t for t in TABLES), *bats_tests()]
    faults = [t for t in known if kind_of(t) == "fault" and known[t][0] == fresh(t)]
    if not faults and "fault" in kinds:
        for some in pool.imap_unordered(list_faults, fault_operations()):
            faults += some
    tests = [t for t in tests + faults if kind_of(t) in kinds]
    missing = [t for t in tests if t not in known or known[t][0] != fresh(t)]
    print(f"# {len(tests)} tests, {len(missing)} to be recorded", file=sys.stderr, flush=True)
    begun = time.monotonic()
    for n, (test, wrong, seconds, seen) in enumerate(pool.imap_unordered(record, missing)):
        known[test] = [fresh(test), wrong, seconds, [names[n] for n in seen]]
        if wrong:
            print(f"# {test}: {wrong}", file=sys.stderr, flush=True)
        if n % 50 == 0:
            save(REACHED, known)
    if missing:
        print(f"# recorded in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        save(REACHED, known)
    return {t: (known[t][2], set(known[t][3])) for t in tests if not known[t][1]}


def mark(test):
    """What a defect was shown: this test, as it is now."""
    return f"{test} {fresh(test)[:8]}"


COST = {"unit": 0, "fault": 1, "applet": 2, "table": 3, "power": 4}


def spread(tests):
    """Cases of faults: first one of each operation and fault, of each call, then more."""
    count, order = collections.Counter(), []
    for test in tests:
        _, operation, fault, _, call, _ = test.split(" ")
        count[operation] += 1
        count[fault, call] += 1
        order.append((count[fault, call], count[operation], test))
    return [test for _, _, test in sorted(order)]


def tests_for(place, seen):
    """In the order in which they are tried."""
    name = seed.name_of(place)
    mine = [t for t, (_, names) in seen.items() if name in names]
    by_kind = collections.defaultdict(list)
    # Of those that come by few places, more is about this one.
    for test in sorted(mine, key=lambda t: seen[t][0] * len(seen[t][1])):
        by_kind[kind_of(test)].append(test)
    by_kind["fault"] = spread(by_kind["fault"])
    order = sorted(COST, key=COST.get)
    if place.kind == "sync":
        order.remove("power")
        order.insert(1, "power")
    else:
        order.remove("power")
    return [(t, seen[t][0]) for k in order for t in by_kind[k][:MOST[k]]]


# --- what is known ------------------------------------------------------------------------------

def read_pairs(path):
    """{name: what stands below it, indented}"""
    pairs, name = {}, None
    if os.path.exists(path):
        with open(path) as f:
            for line in f:
                if line.startswith(("\t", " ")):
                    pairs[name] = (pairs[name] + " " + line.strip()).strip()
                elif line.strip() and line[0] != "#":
                    name = line.rstrip("\n")
                    pairs[name] = ""
    return pairs


def write_noticed(noticed, places):
    order = [seed.name_of(p) for p in places]
    with open(NOTICED, "w") as f:
        f.write("# By make defects: what was noticed, and by which test.\n")
        for name in order:
            if name in noticed:
                f.write(f"{name}\n\t{noticed[name]}\n")


def write_table(path, places, noticed, equivalent, reached):
    total = collections.Counter()
    came_by = {name for _, wrong, _, names in reached.values() if not wrong for name in names}
    for p in places:
        name = seed.name_of(p)
        state = "noticed" if name in noticed else "same" if name in equivalent else "missed"
        for module in p.module, "**all**":
            for kind in p.kind, "all":
                total[module, kind, state] += 1
                total[module, kind, "seeded"] += 1
    by = collections.Counter(kind_of(noticed[n]) for n in map(seed.name_of, places) if n in noticed)
    out = ["# Seeded defects", "",
           "By `make defects`: each sync, each lock and each error check of what holds a mail, left out",
           "in turn: how many there are, and how many of them some test of `make test` notices.",
           "`same`: the program does the same without it, for the reason below; the share is of the",
           "others. (Of the faults, besides, the first error of each call of some operations, as",
           "`make fault` has them.)", "", "| module | " + " | ".join(
               f"{k} | noticed | same" for k in ("syncs", "locks", "checks")) + " | share |",
           "|---" * 11 + "|"]
    modules = list(dict.fromkeys(p.module for p in places)) + ["**all**"]

    def share(module, kind="all"):
        count = total[module, kind, "seeded"] - total[module, kind, "same"]
        return f"{1000 * total[module, kind, 'noticed'] // count / 10:.1f} %" if count else ""
    for module in modules:
        cells = [str(total[module, k, s]) for k in ("sync", "lock", "check")
                 for s in ("seeded", "noticed", "same")]
        out.append(f"| {module} | " + " | ".join(cells) + f" | {share(module)} |")
    out += ["", "First noticed by: " + ", ".join(f"{k} {n}" for k, n in by.most_common()) + ".", ""]
    for title, wanted in (("Not noticed", False), ("The same without", True)):
        out += [f"## {title}", ""]
        for p in places:
            name = seed.name_of(p)
            if name in noticed or (name in equivalent) != wanted:
                continue
            reason = equivalent.get(name) or ("" if name in came_by else "no test comes by")
            out.append(f"- `{p.module}.c:{p.line}` {p.function}, {p.kind}: `{p.text}`" +
                       (f": {reason}" if reason else ""))
        out.append("")
    with open(path, "w") as f:
        f.write("\n".join(out))


# --- the ways to run ----------------------------------------------------------------------------

def make_all():
    places = build.seed_all()
    build.make("mtabox", *("unit/test_" + t[5:] for t in unit_tests()))
    return places


def play_all(pool, places, only_rest, kinds):
    seen = reached(pool, places, not only_rest, kinds)
    noticed = {n: t for n, t in read_pairs(NOTICED).items()
               if only_rest and n in set(map(seed.name_of, places))}
    equivalent, tried = read_pairs(EQUIVALENT), load(TRIED) if only_rest else {}
    jobs = []
    for number, place in enumerate(places):
        name = seed.name_of(place)
        tests = [] if name in noticed or name in equivalent else [
            (t, seconds) for t, seconds in tests_for(place, seen)
            if kind_of(t) in kinds and mark(t) not in tried.get(name, ())]
        if tests:
            jobs.append((number, tests))
    # Those first for which it takes the least to be sure.
    jobs.sort(key=lambda job: sum(seconds for _, seconds in job[1]))
    begun = time.monotonic()
    print(f"# {len(places)} defects, {len(jobs)} to be played", file=sys.stderr, flush=True)
    for (number, test, wrong), tests in pool.imap_unordered(play, jobs):
        name = seed.name_of(places[number])
        tried.setdefault(name, []).extend(map(mark, tests))
        save(TRIED, tried)
        if test:
            noticed[name] = test
            write_noticed(noticed, places)
        print(f"{'noticed' if test else 'MISSED'} {name}: {test} {wrong}".replace("\n", " ")[:300],
              file=sys.stderr, flush=True)
    print(f"# played in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    write_noticed(noticed, places)
    write_table(HERE + "/TABLE.md", places, noticed, equivalent, load(REACHED))
    return 0


def say(job):
    number, test = job
    return number, test, player.run(test, number)[0]


def play_one(pool, places, words):
    seen = reached(pool, places, False, list(COST))
    jobs = [(n, test) for n, p in enumerate(places) if words in seed.name_of(p)
            for test, _ in tests_for(p, seen)]
    for number, test, wrong in pool.imap(say, jobs):
        print(f"{seed.name_of(places[number])}: {test}: {wrong or 'ok'}", flush=True)
    return 0


def neighbours(test):
    """The same fault of the same call, a few times earlier or later: where a program changes, so do
    the numbers of its calls."""
    words = test.split(" ")
    nth = int(words[-1])
    for n in sorted(range(max(1, nth - 4), nth + 5), key=lambda n: abs(n - nth)):
        yield " ".join([*words[:-1], str(n)])


def play_again(job):
    """Whether a test that noticed it does so still: "", or what is wrong."""
    number, name, test = job
    for one in neighbours(test) if kind_of(test) == "fault" else [test]:
        wrong, _ = player.run(one, number)
        if wrong == "ran nothing":
            return name, f"{test}: {wrong}"
        if wrong:
            return name, ""
    return name, f"not noticed by {test}"


def good(test):
    """What it says of a program without a defect."""
    return test, player.run(test, -1)[0]


def sample(seed_of_it, count):
    """Some of those that were noticed, each test first with the good program."""
    places, noticed = build.seed_all(), read_pairs(NOTICED)
    known = [(n, name, noticed[name]) for n, name in enumerate(map(seed.name_of, places))
             if name in noticed and (count > len(noticed) or kind_of(noticed[name]) in QUICK)]
    chosen = random.Random(seed_of_it).sample(known, min(count, len(known)))
    tests = sorted({test for _, _, test in chosen})
    build.make("mtabox", *sorted("unit/test_" + t[5:] for t in tests if kind_of(t) == "unit"))
    print(f"# seed {seed_of_it}: {len(chosen)} of {len(known)} defects\n1..{len(chosen)}", flush=True)
    bad = 0
    with multiprocessing.Pool(JOBS, begin_player) as pool:
        broken = {test for test, wrong in pool.imap_unordered(good, tests) if wrong}
        jobs = [job for job in chosen if job[2] not in broken]
        results = [(name, f"{test} fails without it") for _, name, test in chosen if test in broken]
        for number, (name, wrong) in enumerate(
                itertools.chain(results, pool.imap_unordered(play_again, jobs)), 1):
            bad += bool(wrong)
            print(f"{'not ok' if wrong else 'ok'} {number} - {name}".replace("#", "\\#"), flush=True)
            if wrong:
                print("#", wrong)
        pool.close()
        pool.join()
    return 1 if bad else 0


def main(arguments):
    if os.geteuid() != 0 or os.uname().machine != "x86_64" or not shutil.which("clang"):
        print("1..0 # skip needs root, clang, and x86-64 for tests/fault")
        return 0
    if not arguments or arguments[0].isdigit():
        seed_of_it, count = (*arguments, *("1", "12")[len(arguments):])
        return sample(seed_of_it, int(count))
    if arguments[0] == "table":
        places = build.seed_all()
        write_table(HERE + "/TABLE.md", places, read_pairs(NOTICED), read_pairs(EQUIVALENT),
                    load(REACHED))
        return 0
    if arguments[0] not in ("all", "rest", "record", "one"):
        print(__doc__, file=sys.stderr)
        return 64
    places = make_all()
    with multiprocessing.Pool(JOBS, begin_player) as pool:
        if arguments[0] == "one":
            result = play_one(pool, places, arguments[1])
        elif arguments[0] == "record":
            result = not reached(pool, places, False, arguments[1:] or list(COST))
        else:
            result = play_all(pool, places, arguments[0] == "rest", arguments[1:] or list(COST))
        pool.close()
        pool.join()
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
