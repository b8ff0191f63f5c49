// Messages that a careless proxy would change: what each one is made to catch is its name. CRLF line ends, full
// headers (so that no MTA adds any), never a bare CR, a bare LF or a NUL. The same octets in every run.

import { createHash } from 'node:crypto';

export interface Sample {
  readonly name: string;
  readonly octets: Buffer;
}

export const samples: readonly Sample[] = [
  { name: 'an ordinary message', octets: message(1, 'Hello,\r\n\r\nall is well.\r\n') },
  { name: 'eight-bit octets and control characters', octets: message(2, allOctets()) },
  {
    name: 'lines of 998 octets',
    octets: message(3, `${'x'.repeat(998)}\r\n${'\u00e9'.repeat(998)}\r\ny\r\n`),
  },
  {
    name: 'lines that begin with dots',
    octets: message(4, '.\r\n..\r\n...\r\n.a\r\n\r\n.\r\nQUIT\r\n.\r\n'),
  },
  { name: 'an empty body', octets: message(5, '') },
  { name: 'empty lines at the end', octets: message(6, 'text\r\n\r\n\r\n\r\n') },
  {
    name: 'lines that look like the protocol',
    octets: message(7, 'a OK done\r\n* BYE\r\n+OK\r\n250 ok\r\n+ go\r\n{5}\r\n'),
  },
  { name: 'an attachment of 5 MB', octets: message(8, attachment(5 * 1024 * 1024)) },
];

/** Samples without octets above 127, for programs that would encode those. */
export const asciiSamples: readonly Sample[] = samples.filter(({ octets }) =>
  octets.every((octet) => octet < 128),
);

/** One of them again under another Message-ID, so that it can be told apart in a mailbox. */
export function message(id: number | string, body: string, subject = `Sample ${id}`): Buffer {
  const head = [
    'From: Anna <anna@example.com>',
    'To: Bob <bob@example.com>',
    `Subject: ${subject}`,
    'Date: Sat, 21 Nov 2026 10:00:00 +0000',
    `Message-ID: <sample.${id}@example.com>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=iso-8859-1',
    'Content-Transfer-Encoding: 8bit',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
}

function allOctets(): string {
  const lines: string[] = [];
  for (let first = 0; first < 256; first += 16) {
    const octets = Array.from({ length: 16 }, (_, i) => first + i).filter(
      (octet) => ![0, 10, 13].includes(octet),
    );
    lines.push(`${String.fromCharCode(...octets)}|\r\n`);
  }
  return lines.join('');
}

/** Base64 of octets that do not compress, wrapped at 76. */
function attachment(bytes: number): string {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 64 < bytes; i++) blocks.push(createHash('sha512').update(`block ${i}`).digest());
  return Buffer.concat(blocks)
    .subarray(0, bytes)
    .toString('base64')
    .replaceAll(/.{1,76}/g, '$&\r\n');
}

/** For programs that store or show LF. */
export function withCrlf(octets: Buffer): Buffer {
  return Buffer.from(octets.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1');
}

export function withLf(octets: Buffer): Buffer {
  return Buffer.from(octets.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
}

/** assert.deepEqual on megabytes prints megabytes; this says where they part. */
export function assertSameOctets(actual: Buffer | undefined, expected: Buffer, what: string): void {
  if (actual === undefined) throw new Error(`${what}: nothing arrived`);
  if (actual.equals(expected)) return;
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at += 1;
  const around = (octets: Buffer): string =>
    JSON.stringify(octets.subarray(Math.max(0, at - 40), at + 40).toString('latin1'));
  throw new Error(
    `${what}: ${actual.length} octets instead of ${expected.length}, first difference at ${at}: ` +
      `${around(actual)} instead of ${around(expected)}`,
  );
}
