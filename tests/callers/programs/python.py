#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Python: subprocess.py recipients, as Django's sendmail back ends do, or headers, as the
library's own documentation does."""
import email.message
import email.policy
import subprocess
import sys

message = email.message.EmailMessage(email.policy.SMTPUTF8.clone(linesep="\n", cte_type="8bit"))
message["From"] = "Router <python@router.example>"
message["To"] = "far@remote.example, joe@router.example"
message["Cc"] = "copy@remote.example"
message["Subject"] = "from Python"
message.set_content(sys.stdin.read(), cte="8bit")
hidden = "hidden@remote.example"
if sys.argv[1] == "recipients":
    arguments = ["-f", "python@router.example", "-i", "far@remote.example",
                 "joe@router.example", "copy@remote.example", hidden]
else:
    message["Bcc"] = hidden
    arguments = ["-t", "-oi"]
subprocess.run(["/usr/sbin/sendmail"] + arguments, input=message.as_bytes(), check=True)
