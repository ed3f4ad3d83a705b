// SPDX-License-Identifier: ISC
// nodemailer's sendmail transport: nodemailer.js unix|windows
'use strict'
const newline = process.argv[2]
const { createTransport } = require('/usr/share/nodejs/nodemailer')
const transport = createTransport({ sendmail: true, newline })

transport.sendMail({
	newline,
	from: 'Router <node@router.example>',
	to: ['far@remote.example', 'joe@router.example'],
	cc: 'copy@remote.example',
	bcc: 'hidden@remote.example',
	subject: 'from nodemailer',
	text: require('fs').readFileSync(0, 'utf8'),
	textEncoding: 'quoted-printable',
}, (error) => {
	if (error)
		console.error(error)
	process.exitCode = error ? 1 : 0
})
