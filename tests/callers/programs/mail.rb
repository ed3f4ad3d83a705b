# SPDX-License-Identifier: ISC
# Ruby's mail gem, which is Rails's Action Mailer as well.
require 'mail'

Mail.defaults { delivery_method :sendmail }
text = $stdin.read
Mail.deliver do
  from 'Router <ruby@router.example>'
  to ['far@remote.example', 'joe@router.example']
  cc 'copy@remote.example'
  bcc 'hidden@remote.example'
  subject 'from Ruby'
  body text
  self.charset = 'utf-8'
end
