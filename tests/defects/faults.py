#!/usr/bin/python3 -sSB
# SPDX-License-Identifier: ISC
"""Cases of tests/fault for one program after another: asked on standard input, answered on standard
output, a line of JSON each. Run enclosed (see the suite there).

    {"list": OPERATION, "program": P}     the cases that make run-tests plays: [[...], ...]
    {"case": [...], "program": P}         {"wrong": what is wrong or "", "seconds": ...}
    {"calls": OPERATION, ...}             the cases of an undisturbed run, all of them
"""
import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fault"))
import suite


class Player:
    def __init__(self, directory, good):
        self.box, self.good, self.said = suite.Box(directory), good, {}

    def undisturbed(self, name):
        """With the good program, which also makes what is queued."""
        if name not in self.said:
            suite.MTABOX = self.good
            self.said[name] = suite.undisturbed(self.box, suite.BY_NAME[name])
        return self.said[name]

    def cases(self, name):
        return list(dict.fromkeys(suite.cases_of(suite.BY_NAME[name], self.undisturbed(name)[0])))

    def answer(self, ask):
        begun = time.monotonic()
        if "list" in ask:
            operation = suite.BY_NAME[ask["list"]]
            return suite.choose(operation, self.cases(ask["list"]), "1")
        if "calls" in ask:
            return self.cases(ask["calls"])
        case = suite.Case(*ask["case"])
        said = self.undisturbed(case.operation)[1]
        suite.MTABOX = ask["program"]
        wrong, _ = suite.run_case(self.box, case, said)
        return {"wrong": wrong, "seconds": time.monotonic() - begun}


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
                answer = {"wrong": f"broken {wrong}", "seconds": 0}
            print(json.dumps(answer), flush=True)
    finally:
        player.box.close()
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
