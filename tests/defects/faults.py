#!/usr/bin/python3 -sSB
# SPDX-License-Identifier: ISC
"""Cases of tests/fault for one program after another: asked on standard input, answered on standard
output, a line of JSON each. Run enclosed (see the suite there).

    {"list": OPERATION}                 its errors that make run-tests chooses: [[...], ...]
                                        (and of some operations more, of those of make fault)
    {"case": [...], "program": P}       {"wrong": what is wrong or ""}
"""
import json
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fault"))
import suite

EACH = "submit submit-bs direct-server relay-password relay-mixed forward start".split()


class Player:
    def __init__(self, directory, good):
        self.box, self.good, self.undisturbed = suite.Box(directory), good, {}

    def begin(self, name):
        """Trace and words of the good program, which also makes what is queued."""
        if name not in self.undisturbed:
            suite.MTABOX = self.good
            self.undisturbed[name] = suite.undisturbed(self.box, suite.BY_NAME[name])
        return self.undisturbed[name]

    def list(self, name):
        """Not the kills: where one is killed, no call has failed. Of some, the first error of each
        call besides."""
        faults = list(dict.fromkeys(suite.faults_of(self.begin(name)[0])))
        chosen, _ = suite.choose(suite.BY_NAME[name], faults, "1", False)
        chosen = [f for f in chosen if f.fault not in suite.KILLS]
        first = {f[1:]: f for f in reversed(faults) if f.fault not in suite.KILLS + suite.DISK}
        chosen += first.values() if name in EACH else ()
        return [(name, *f) for f in dict.fromkeys(chosen)]

    def play(self, program, name, *fault):
        _, said = self.begin(name)
        suite.MTABOX = program
        case = suite.Case(name, (suite.Fault(*fault),))
        result, _ = suite.run_case(self.box, case, said)
        return {"wrong": "" if result in suite.FINE else result}

    def answer(self, ask):
        if "list" in ask:
            return self.list(ask["list"])
        return self.play(ask["program"], *ask["case"])


def main(good):
    suite.enclose()
    suite.SECONDS = 10
    top = tempfile.mkdtemp(prefix="mtabox-defects.")
    os.chmod(top, 0o755)
    player = Player(top, good)
    try:
        for line in sys.stdin:
            try:
                answer = player.answer(json.loads(line))
            except suite.Wrong as wrong:
                answer = {"wrong": f"broken {wrong}"}
            print(json.dumps(answer), flush=True)
    finally:
        player.box.close()
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
