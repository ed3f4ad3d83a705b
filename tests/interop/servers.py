# SPDX-License-Identifier: ISC
"""The servers: what each is configured with, and how it is started. Each takes mail for joe and
ann at far.example and refuses all others, and leaves what it took below /srv/NAME/USER. Those
that have passwords know Joe's."""

import crypt
import os
import socket
import subprocess
import time

PASSWORD = "Wald meister"
TOKEN, UNKNOWABLE = "ya29.Z-9_~+/==", "ya29.nobody-knows"  # OAuth's; the other: nobody says
CERTS = "/tmp/certs"
USERS = "joe", "ann"
LOCALS = ["ann:1235", "postfix:1240", "postdrop:1241", "Debian-exim:1242", "opensmtpd:1243",
          "opensmtpq:1244", "dovecot:1245", "dovenull:1246", "unbound:1247", "bind:1248",
          "dnsmasq:1249"]
MX_DOMAINS = "far.example implicit.example many.example cname.example six.example"


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def run(*command):
    """Its words, should it fail, are told."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout.decode()}")
    return done.stdout.decode()


def spawn(*command):
    with open(f"/var/log/{os.path.basename(command[0])}.out", "ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def listens(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        return s.connect_ex((address, port)) == 0


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# Mail servers. Each has the address ADDRESS of the loopback, where it is called NAME.example,
# and a certificate of another kind. On port 466 some ask for the client's.

POSTFIX_MAIN = """
compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example
mydestination =
mynetworks =
maillog_file = /var/log/postfix.log
smtpd_tls_cert_file = {certs}/goodrsa.pem
smtpd_tls_key_file = {certs}/goodrsa.key
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.5:12345
smtpd_tls_auth_only = yes
smtpd_recipient_restrictions = reject_unauth_destination
virtual_mailbox_domains = {domains}
virtual_mailbox_base = /srv/postfix
virtual_mailbox_maps = texthash:/etc/postfix/users
virtual_uid_maps = static:1234
virtual_gid_maps = static:1234
virtual_mailbox_limit = 0
recipient_delimiter = +
"""
POSTFIX_MASTER = """
{address}:25  inet n - n - - smtpd
[::1]:25      inet n - n - - smtpd
{address}:26  inet n - n - - smtpd -o smtpd_tls_security_level=may
{address}:587 inet n - n - - smtpd -o smtpd_tls_security_level=encrypt {auth}
{address}:465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {auth}
{address}:27  inet n - n - - smtpd -o smtpd_recipient_limit=3
{address}:28  inet n - n - - smtpd -o smtpd_recipient_limit=3 -o smtpd_recipient_overshoot_limit=1
{address}:29  inet n - n - - smtpd -o smtpd_client_message_rate_limit=3
{address}:466 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
  -o smtpd_tls_req_ccert=yes -o smtpd_tls_CAfile={certs}/ca.pem
  -o smtpd_tls_fingerprint_digest=sha256
  -o {{ smtpd_client_restrictions = check_ccert_access texthash:/etc/postfix/certs, reject }}
{address}:468 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {auth} -o {nobody}
{address}:467 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {auth} -o {cyrus}
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
anvil     unix - - n - 1 anvil
error     unix - - n - - error
proxymap  unix - - n - - proxymap
virtual   unix - n n - - virtual
postlog   unix-dgram n - n - 1 postlogd
"""
# Cyrus SASL, in the place of Dovecot.
CYRUS = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 NTLM
"""


def postfix(address):
    write("/etc/postfix/main.cf", POSTFIX_MAIN.format(certs=CERTS, domains=MX_DOMAINS))
    write("/etc/postfix/users", "".join(
        f"{user}@{domain} {user}/\n" for user in USERS for domain in MX_DOMAINS.split()))
    auth = "-o smtpd_sasl_auth_enable=yes -o " \
        "smtpd_client_restrictions=permit_sasl_authenticated,reject"
    write("/etc/postfix/master.cf", POSTFIX_MASTER.format(
        address=address, auth=auth, certs=CERTS, nobody="smtpd_sasl_path=inet:127.0.0.5:12346",
        cyrus="smtpd_sasl_type=cyrus -o smtpd_sasl_path=smtpd"))
    write("/etc/postfix/sasl/smtpd.conf", CYRUS)
    for user in USERS:
        run("/bin/sh", "-c", f"printf '%s' '{PASSWORD}' |"
            f" saslpasswd2 -p -c -u postfix.example {user}")
    os.chmod("/etc/sasldb2", 0o644)
    write("/etc/postfix/certs", "".join(
        run("/usr/bin/openssl", "x509", "-in", f"{CERTS}/{name}.pem", "-noout", "-sha256",
            "-fingerprint").split("=")[1].strip() + " OK\n" for name in ("client", "clientrsa")))
    run("/usr/bin/chown", "postfix", "/var/lib/postfix")
    spawn("/usr/sbin/postfix", "start")


EXIM = """
primary_hostname = exim.example
domainlist ours = far.example
local_interfaces = {address}
daemon_smtp_ports = 25 : 26 : 587 : 465 : 466
tls_on_connect_ports = 465 : 466
tls_try_verify_hosts = ${{if eq{{$received_port}}{{466}}{{*}}{{}}}}
tls_verify_certificates = {certs}/ca.pem
tls_advertise_hosts = ${{if eq{{$received_port}}{{25}}{{}}{{*}}}}
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
tls_certificate = {certs}/rsa3072.pem
tls_privatekey = {certs}/rsa3072.key
acl_smtp_rcpt = rcpt
log_file_path = /var/log/exim4/%slog
never_users =
keep_environment =
recipients_max = 5
smtp_accept_max_per_connection = 10
begin acl
rcpt:
  deny    message = a password is needed here
          condition = ${{if inlist{{$received_port}}{{587:465:466}}}}
          !authenticated = *
  accept  domains = +ours
          verify = recipient
  deny    message = not ours
begin routers
users:
  driver = accept
  domains = +ours
  local_parts = joe : ann
  local_part_suffix = +*
  local_part_suffix_optional
  transport = keep
begin transports
keep:
  driver = appendfile
  directory = /srv/exim/$local_part_data
  maildir_format
  user = joe
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if eq{{$auth2}}{{ann}}{{${{lookup{{ann}}lsearch{{/nonexistent}}}}}}\
    {{${{if and{{{{eq{{$auth2}}{{joe}}}}{{eq{{$auth3}}{{{password}}}}}}}}}}}}}
  server_set_id = $auth2
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{joe}}{{{password}}}fail}}
  server_set_id = $auth1
external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = $tls_in_certificate_verified
  server_param2 = ${{certextract{{subject,CN}}{{$tls_in_peercert}}}}
  server_condition = ${{if eq{{$auth1}}{{$auth2}}}}
  server_set_id = $auth1
ntlm:
  driver = spa
  public_name = NTLM
  server_password = ${{if eq{{$auth1}}{{joe}}{{{password}}}fail}}
  server_set_id = $auth1
"""


def exim(address):
    write("/etc/exim4/exim4.conf", EXIM.format(address=address, certs=CERTS, password=PASSWORD))
    for folder in "/var/log/exim4", "/var/spool/exim4":
        os.makedirs(folder, exist_ok=True)
        run("/usr/bin/chown", "Debian-exim:Debian-exim", folder)
    run("/usr/bin/chown", "Debian-exim", f"{CERTS}/rsa3072.key")
    spawn("/usr/sbin/exim4", "-bdf")


OPENSMTPD = """
pki opensmtpd.example cert "{certs}/good.pem"
pki opensmtpd.example key "{certs}/good.key"
table users file:/etc/opensmtpd.users
smtp limit max-mails 10
smtp limit max-rcpt 5
listen on {address} port 25 hostname opensmtpd.example
listen on {address} port 26 tls pki opensmtpd.example
listen on {address} port 587 tls-require pki opensmtpd.example auth <users>
listen on {address} port 465 smtps pki opensmtpd.example auth <users>
action "keep" maildir "/srv/opensmtpd/%{{user.username}}"
match from any for domain "far.example" action "keep"
"""


def opensmtpd(address):
    write("/etc/smtpd.conf", OPENSMTPD.format(address=address, certs=CERTS), 0o600)
    write("/etc/opensmtpd.users", f"joe {crypt.crypt(PASSWORD)}\n", 0o640)
    run("/usr/bin/chgrp", "opensmtpd", "/etc/opensmtpd.users")
    os.makedirs("/var/lib/opensmtpd/empty", exist_ok=True)
    spawn("/usr/sbin/smtpd", "-d")


DOVECOT = """
protocols = submission lmtp
hostname = dovecot.example
log_path = /var/log/dovecot.log
ssl = yes
ssl_cert = <{certs}/p384.pem
ssl_key = <{certs}/p384.key
ssl_ca = <{certs}/ca.pem
ssl_require_crl = no
ssl_verify_client_cert = yes
auth_ssl_username_from_cert = yes
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 oauthbearer xoauth2 external
auth_username_format = %Ln
auth_failure_delay = 0
auth_verbose = yes
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = /etc/dovecot/oauth2
}}
passdb {{
  driver = static
  args = nopassword
  mechanisms = external
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = /etc/dovecot/people
}}
userdb {{
  driver = passwd-file
  args = /etc/dovecot/people
}}
mail_location = maildir:/srv/dovecot/%n
first_valid_uid = 1000
submission_relay_host = 127.0.0.6
service submission-login {{
  inet_listener submission {{
    address = {address}
    port = 587
  }}
  inet_listener submissions {{
    address = {address}
    port = 465
    ssl = yes
  }}
  inet_listener certified {{
    address = {address}
    port = 466
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = {address}
    port = 24
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
# A wrong password does not make the next login wait, which may be another test's.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  inet_listener {{
    address = {address}
    port = 12345
  }}
}}
"""


# As tokens.py knows it.
OAUTH2 = """
tokeninfo_url = http://127.0.0.9:8080/?token=
introspection_mode = auth
username_attribute = username
active_attribute = active
active_value = yes
timeout_msecs = 5000
"""


def dovecot(address):
    write("/etc/dovecot/oauth2", OAUTH2)
    spawn("/usr/bin/python3", "-B", "/interop/tokens.py", "127.0.0.9", "8080", TOKEN, UNKNOWABLE)
    write("/etc/dovecot/dovecot.conf", DOVECOT.format(address=address, certs=CERTS))
    write("/etc/dovecot/people", "".join(
        f"{user}:{{PLAIN}}{PASSWORD}:1234:1234::/srv/dovecot/{user}::\n" for user in USERS))
    spawn("/usr/sbin/dovecot", "-F")


def aiosmtpd(address):
    spawn("/usr/bin/python3", "-B", "/interop/sink.py", address, f"{CERTS}/good.pem",
          f"{CERTS}/good.key", PASSWORD)


def smtp_server(address):
    spawn("/usr/bin/node", "/interop/sink.js", address, f"{CERTS}/p521.pem",
          f"{CERTS}/p521.key", PASSWORD)


def stunnel(services):
    """services: (accept, lines). Each leads to aiosmtpd."""
    text = "foreground = yes\nsyslog = no\npid =\n"
    for number, (accept, lines) in enumerate(services):
        text += f"[s{number}]\naccept = {accept}\nconnect = 127.0.0.6:25\n"
        text += "".join(line + "\n" for line in lines)
    write("/etc/stunnel/stunnel.conf", text)
    spawn("/usr/bin/stunnel4", "/etc/stunnel/stunnel.conf")


# Proxies, which look up names in /etc/hosts. microsocks has a login on port 1081.

SOCKD = """
logoutput: /var/log/sockd.log
internal: {address} port = 1080
external: 127.0.0.1
clientmethod: none
socksmethod: username
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: exim.example }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect }}
"""


def microsocks(address):
    spawn("/usr/bin/microsocks", "-i", address, "-p", "1080")
    spawn("/usr/bin/microsocks", "-i", address, "-p", "1081", "-u", "joe", "-P", PASSWORD)


def dante(address):
    write("/etc/danted.conf", SOCKD.format(address=address))
    with open("/etc/shadow") as f:
        shadow = f.read().replace("\njoe:*:", f"\njoe:{crypt.crypt(PASSWORD)}:")
    write("/etc/shadow", shadow, 0o600)
    spawn("/usr/sbin/danted", "-f", "/etc/danted.conf")


# Name servers: one that has the zones, and what a router or a server would put before it.

NAMED = """
options {
	directory "/tmp/named";
	pid-file none;
	listen-on { 127.0.0.1; };
	listen-on-v6 { none; };
	recursion no;
	notify no;
};
controls { };
zone "." { type primary; file "/etc/bind/root.zone"; };
zone "example" { type primary; file "/etc/bind/example.zone"; };
zone "broken.example" { type primary; file "/etc/bind/nothing"; };
"""
ZONE = """
$TTL 300
@ SOA ns.example. hostmaster.example. 1 3600 600 86400 300
@ NS ns.example.
ns A 127.0.0.1
mx1 A 127.0.0.2
dead A 127.0.0.99
six AAAA ::1
implicit A 127.0.0.2
far MX 10 dead
far MX 20 mx1
cname CNAME far
six MX 10 six
null MX 0 .
broken NS ns
"""
ROOT_ZONE = """
$TTL 300
. SOA ns.example. hostmaster.example. 1 3600 600 86400 300
. NS ns.example.
example. NS ns.example.
ns.example. A 127.0.0.1
"""
UNBOUND = """
server:
  interface: 127.0.0.54
  chroot: ""
  username: ""
  pidfile: ""
  directory: /tmp
  use-syslog: no
  do-not-query-localhost: no
  module-config: iterator
  trust-anchor-file: ""
  local-zone: example. nodefault
stub-zone:
  name: example
  stub-addr: 127.0.0.1
"""


def named():
    many = "".join(f"many MX {20 + n} a-rather-long-name-for-a-mail-server-{n}\n"
                   for n in range(60)) + "many MX 10 mx1\n"
    write("/etc/bind/example.zone", ZONE + many)
    write("/etc/bind/root.zone", ROOT_ZONE)
    write("/etc/bind/interop.conf", NAMED)
    os.makedirs("/tmp/named", exist_ok=True)
    spawn("/usr/sbin/named", "-g", "-c", "/etc/bind/interop.conf")


def unbound():
    write("/etc/unbound/interop.conf", UNBOUND)
    spawn("/usr/sbin/unbound", "-d", "-c", "/etc/unbound/interop.conf")


def dnsmasq():
    spawn("/usr/sbin/dnsmasq", "-k", "-C", "/dev/null", "-u", "root", "-R", "-h",
          "--server=127.0.0.1", "--listen-address=127.0.0.55", "--bind-interfaces",
          "--log-facility=/var/log/dnsmasq.log")
