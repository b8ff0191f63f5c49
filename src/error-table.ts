// The error table: each failure that anybody outside can see has one row: what it means, what a client is told in each
// dialect, and how loudly the log speaks. The client is told the row's words and nothing else.
// 421 (and 521, and 554 in place of a greeting) always end an SMTP connection (RFC 5321 3.8, 3.1), and so do the refusals
// of an introduction, which have the codes that other proxies know; 454 is a login's failure (RFC 4954 6), after which
// the client may go on.

export interface ErrorRow {
  /** One sentence for the reference page. */
  readonly doc: string;
  /** Reply code and enhanced status code (RFC 3463), or null where nothing can be said any more. */
  readonly smtp: readonly [code: number, enhanced: string] | null;
  /** IMAP: status and response code (RFC 3501 7.1, RFC 5530); a BYE ends the connection. */
  readonly imap: readonly [status: 'NO' | 'BAD' | 'BYE', code: string] | null;
  /** POP3 response code (RFC 2449 8, RFC 3206); '' says -ERR without a code. */
  readonly pop3: string | null;
  /** The words that follow the codes, the same in all dialects. */
  readonly text: string;
  readonly level: 'info' | 'warn' | 'error';
}

const TEMPORARY = {
  smtp: [421, '4.4.1'],
  imap: ['NO', 'UNAVAILABLE'],
  pop3: 'SYS/TEMP',
  text: 'The mail server behind is out of service for the moment, please try again later',
} as const;

const SILENT = { smtp: null, imap: null, pop3: null, text: '' } as const;

export const ERRORS = {
  CLIENT_CLOSED: { doc: 'The client closed the connection.', ...SILENT, level: 'info' },
  CLIENT_RESET: { doc: 'The connection to the client broke.', ...SILENT, level: 'info' },
  LOGIN_TIMEOUT: {
    doc: 'The client did not log in (SMTP: start a transaction) within timeouts.login.',
    smtp: [421, '4.4.2'],
    imap: ['BYE', ''],
    pop3: 'SYS/TEMP',
    text: 'Too slow, closing the connection',
    level: 'info',
  },
  IDLE_TIMEOUT: {
    doc: 'Nothing was sent in either direction for the idle time of the protocol.',
    smtp: [421, '4.4.2'],
    imap: ['BYE', ''],
    pop3: 'SYS/TEMP',
    text: 'Idle for too long, closing the connection',
    level: 'info',
  },
  PROXY_STRANGER: {
    doc: 'The peer is not in proxyProtocol.from, and the service takes connections from there only.',
    ...SILENT,
    level: 'warn',
  },
  PROXY_HEADER_MISSING: {
    doc: 'A balancer of proxyProtocol.from began without the PROXY header that the service requires.',
    ...SILENT,
    level: 'warn',
  },
  PROXY_HEADER_BAD: {
    doc: 'A balancer of proxyProtocol.from sent a PROXY header that is malformed or too long.',
    ...SILENT,
    level: 'warn',
  },
  PROXY_HEADER_TIMEOUT: {
    doc: 'A balancer of proxyProtocol.from did not send a whole PROXY header within timeouts.proxyHeader.',
    ...SILENT,
    level: 'warn',
  },
  TLS_HANDSHAKE_FAILED: { doc: 'The TLS handshake with the client failed.', ...SILENT, level: 'info' },
  TOKEN_FAILED: {
    doc: 'The key of our certificate is in a PKCS#11 token that did not sign: removed, locked or out of order.',
    ...SILENT,
    level: 'error',
  },
  TLS_HANDSHAKE_TIMEOUT: {
    doc: 'The client did not finish its TLS handshake within timeouts.handshake.',
    ...SILENT,
    level: 'info',
  },
  CLIENT_CERTIFICATE: {
    doc: 'The service requires a certificate of its clients (tls.clientCertificates), and this one showed none that verifies.',
    smtp: [521, '5.7.1'],
    imap: ['BYE', ''],
    pop3: '',
    text: 'A certificate that this server trusts is required',
    level: 'warn',
  },
  TLS_ON_PLAIN_PORT: {
    doc: 'The client began TLS on a port that starts in clear text; it wants the implicit-TLS port, or STARTTLS.',
    smtp: [521, '5.5.1'],
    imap: ['BYE', ''],
    pop3: '',
    text: 'This port does not start with TLS',
    level: 'info',
  },
  PLAIN_ON_TLS_PORT: {
    doc: 'The client spoke clear text to a port that starts with TLS; it wants the other port, or implicit TLS.',
    ...SILENT,
    level: 'info',
  },
  STARTTLS_INJECTION: {
    doc: 'Commands were sent in clear text behind STARTTLS; they are dropped and the connection closed (RFC 3207 6).',
    smtp: [521, '5.5.1'],
    imap: ['BYE', ''],
    pop3: '',
    text: 'No command may follow STARTTLS before the handshake',
    level: 'warn',
  },
  LINE_TOO_LONG: {
    doc: 'A command line or literal was longer than limits.commandBytes.',
    smtp: [521, '5.5.2'],
    imap: ['BYE', 'TOOBIG'],
    pop3: '',
    text: 'Command too long',
    level: 'info',
  },
  BAD_LINE_ENDING: {
    doc: 'A bare CR, a bare LF or a NUL was sent where lines end in CRLF (SMTP smuggling is made of these).',
    smtp: [521, '5.5.2'],
    imap: ['BYE', ''],
    pop3: '',
    text: 'Bare CR, bare LF or NUL received, lines end in CRLF',
    level: 'warn',
  },
  TOO_MANY_ERRORS: {
    doc: 'The client sent more wrong commands than limits.badCommands.',
    smtp: [421, '4.7.0'],
    imap: ['BYE', ''],
    pop3: '',
    text: 'Too many errors, closing the connection',
    level: 'info',
  },
  TOO_MANY_LOGINS: {
    doc: 'As many logins failed on this connection as limits.authAttempts allows.',
    smtp: [421, '4.7.0'],
    imap: ['BYE', ''],
    pop3: '',
    text: 'Too many failed logins, closing the connection',
    level: 'warn',
  },
  SERVER_FULL: {
    doc: 'The worker holds limits.connections connections already.',
    smtp: [421, '4.3.2'],
    imap: ['BYE', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'Too many connections, please try again later',
    level: 'warn',
  },
  ACCESS_DENIED: {
    doc: 'The access rules of the service (`access`) do not let this client in.',
    smtp: [554, '5.7.1'],
    imap: ['BYE', ''],
    pop3: '',
    text: 'Access denied',
    level: 'warn',
  },
  ADDRESS_LIMIT: {
    doc: 'The address of the client has limits.perAddress connections already.',
    smtp: [421, '4.7.0'],
    imap: ['BYE', 'LIMIT'],
    pop3: 'SYS/TEMP',
    text: 'Too many connections from your address',
    level: 'warn',
  },
  TOTAL_LIMIT: {
    doc: 'There are limits.total connections already.',
    smtp: [421, '4.7.0'],
    imap: ['BYE', 'LIMIT'],
    pop3: 'SYS/TEMP',
    text: 'Too many connections, please try again later',
    level: 'warn',
  },
  USER_LIMIT: {
    doc: 'The login was right, but the user has limits.perUser connections already.',
    smtp: [454, '4.7.0'],
    imap: ['NO', 'LIMIT'],
    pop3: 'IN-USE',
    text: 'Too many connections of this user',
    level: 'warn',
  },
  USER_MOVING: {
    doc: 'The user is being moved to another server (sallyport move) and that took longer than a login waits for it.',
    smtp: [454, '4.7.0'],
    imap: ['NO', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'The mailbox is being moved, please try again',
    level: 'info',
  },
  MESSAGE_LIMIT: {
    doc: 'The user, or the address that has a grant, has sent limits.messagesPerUser messages in that time.',
    smtp: [450, '4.7.1'],
    imap: null,
    pop3: null,
    text: 'Too many messages in a short time, please try again later',
    level: 'warn',
  },
  RECIPIENT_LIMIT: {
    doc: 'The user, or the address that has a grant, has sent to limits.recipientsPerUser recipients in that time.',
    smtp: [450, '4.7.1'],
    imap: null,
    pop3: null,
    text: 'Too many recipients in a short time, please try again later',
    level: 'warn',
  },
  BACKEND_LIMIT: {
    doc: 'The backend has as many connections from us as its `connections` allows.',
    smtp: [421, '4.4.5'],
    imap: ['NO', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'The mail server behind is busy, please try again later',
    level: 'warn',
  },
  TLS_LIMIT: {
    doc: 'The address of the client has made limits.newTlsSessions full TLS handshakes in this minute.',
    smtp: [421, '4.7.0'],
    imap: ['BYE', 'LIMIT'],
    pop3: 'SYS/TEMP',
    text: 'Too many new TLS sessions from your address',
    level: 'warn',
  },
  DRAINING: {
    doc: 'The server is shutting down.',
    smtp: [421, '4.3.2'],
    imap: ['BYE', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'Server is shutting down, please connect again',
    level: 'info',
  },
  KICKED: {
    doc: 'An administrator ended the session (sallyport kick).',
    smtp: [421, '4.3.2'],
    imap: ['BYE', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'Session ended by the administrator',
    level: 'info',
  },
  BACKEND_UNREACHABLE: {
    doc: 'The backend refused the connection, could not be found, or did not answer within timeouts.connect.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_TIMEOUT: {
    doc: 'The backend did not answer a command within timeouts.reply.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_CLOSED: { doc: 'The backend closed the connection before the end.', ...TEMPORARY, level: 'warn' },
  BACKEND_REFUSED: {
    doc: 'The backend greeted with a refusal (421, * BYE, -ERR) or failed for a reason that is not the password.',
    ...TEMPORARY,
    level: 'warn',
  },
  BACKEND_PROTOCOL: {
    doc: 'The backend said something that the protocol does not allow (the port of another one?), or more than limits.replyBytes.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_PREAUTH: {
    doc: 'The backend greeted with PREAUTH, which would log everybody in as somebody.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_TLS_MISSING: {
    doc: 'The backend leg must have TLS and the backend does not offer STARTTLS (or somebody strips it).',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_TLS_FAILED: {
    doc: 'The TLS handshake with the backend failed, or its certificate could not be verified.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_INJECTION: {
    doc: 'The backend sent text between its answer to STARTTLS and the handshake; it is dropped, the attempt ends.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_CLEAR_PASSWORD: {
    doc: 'A password would have gone to the backend in clear text and allowClearBackend is not set.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_NO_MECHANISM: {
    doc: 'The backend offers no SASL mechanism that can carry what the client gave.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_NO_CLIENT_INFO: {
    doc: 'The backend does not accept what `client` requires (ID, XCLIENT), so it would take strangers for us.',
    ...TEMPORARY,
    level: 'error',
  },
  BACKEND_ADMIN_REFUSED: {
    doc: 'The backend refuses its `admin` for a user who was proven here: another password, another right, or no such user there.',
    smtp: [454, '4.7.0'],
    imap: ['NO', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'The mail server behind is out of service for the moment, please try again later',
    level: 'error',
  },
  DIRECTORY_DOWN: {
    doc: 'The directory could not be asked, or gave no answer that can be understood; nobody knows who this is.',
    smtp: [454, '4.7.0'],
    imap: ['NO', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'Logins cannot be checked for the moment, please try again later',
    level: 'error',
  },
  DIRECTORY_AMBIGUOUS: {
    doc: 'The directory has more than one entry for the user, so nobody knows whose mail this would be.',
    smtp: [454, '4.7.0'],
    imap: ['NO', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'Logins cannot be checked for the moment, please try again later',
    level: 'error',
  },
  DIRECTORY_TARGET: {
    doc: 'The directory leads the user to a backend or channel that is not there, or to a host that `hosts` does not allow.',
    ...TEMPORARY,
    smtp: [454, '4.7.0'],
    level: 'error',
  },
  USER_ON_HOLD: {
    doc: 'The account of the user is on hold in the directory.',
    smtp: [454, '4.7.0'],
    imap: ['NO', 'UNAVAILABLE'],
    pop3: 'SYS/TEMP',
    text: 'This account is not available for the moment, please try again later',
    level: 'warn',
  },
  BAD_INTRODUCTION: {
    doc: 'A front tier said who its client is in words that cannot be understood; nobody is served in that name.',
    smtp: [501, '5.5.4'],
    imap: ['BYE', 'CLIENTBUG'],
    pop3: '',
    text: 'What was said of the client cannot be understood',
    level: 'warn',
  },
  INTRODUCTION_DENIED: {
    doc: 'A peer among frontTier.from sent XPEHLO without the right password.',
    smtp: [550, '5.7.1'],
    imap: null,
    pop3: null,
    text: 'Not with this password',
    level: 'warn',
  },
  PROXY_LOOP: {
    doc: 'The connection came through so many proxies in a row that they must lead to each other.',
    smtp: [554, '5.4.6'],
    imap: ['NO', 'CANNOT'],
    pop3: 'SYS/PERM',
    text: 'The proxies lead to each other, this will never succeed',
    level: 'error',
  },
  INTERNAL: {
    doc: 'A defect of Sallyport; the log line has the stack.',
    smtp: [421, '4.3.0'],
    imap: ['BYE', 'SERVERBUG'],
    pop3: 'SYS/TEMP',
    text: 'Internal error, please try again later',
    level: 'error',
  },
} as const satisfies Record<string, ErrorRow>;
