// SPDX-License-Identifier: ISC
// A real server, smtp-server from npm, in each of its parts. Takes mail for joe and ann, and
// keeps it as it came: /srv/smtp-server/USER/N.
// usage: sink.js ADDRESS CERTIFICATE KEY PASSWORD
'use strict';
const fs = require('fs');
const { SMTPServer } = require('/usr/local/lib/node_modules/smtp-server');
const [address, certificate, key, password] = process.argv.slice(2);
const folder = '/srv/smtp-server';
let count = 0;

function keep(stream, session, done) {
	const parts = [];
	stream.on('data', part => parts.push(part));
	stream.on('end', () => {
		for (const recipient of session.envelope.rcptTo) {
			const user = recipient.address.split('@')[0], path = `${folder}/${++count}`;
			fs.mkdirSync(`${folder}/${user}`, { recursive: true });
			fs.writeFileSync(path, Buffer.concat(parts));
			fs.renameSync(path, `${folder}/${user}/${count}`);
		}
		done(null, 'taken');
	});
}

function refusal(code, words) {
	return Object.assign(new Error(words), { responseCode: code });
}

function start(port, options) {
	const server = new SMTPServer({
		name: 'smtp-server.example', cert: fs.readFileSync(certificate), key: fs.readFileSync(key),
		disableReverseLookup: true, onData: keep,
		onRcptTo(recipient, session, done) {
			const known = ['joe', 'ann'].includes(recipient.address.split('@')[0]);
			done(known ? null : refusal(550, 'no such user here'));
		},
		onAuth(auth, session, done) {
			const good = auth.username === 'joe' && auth.password === password;
			done(good ? null : refusal(535, 'no such password here'), { user: 'joe' });
		},
		...options,
	});
	server.on('error', () => {}); // a connection's: what a client does is its own affair
	return new Promise(resolve => server.listen(port, address, resolve));
}

const open = { disabledCommands: ['AUTH', 'STARTTLS'] };
start(25, open)
	.then(() => start(24, { ...open, lmtp: true }))
	.then(() => start(465, { secure: true }))
	.then(() => start(587, {})); // the last: what waits for this one knows that all are there
