// The certificate chapter of the Sun Messaging Server's guide (23.5.1), its commands as they are printed there, by the
// installed name, with real openssl as the certificate authority; and a server that serves what they make.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';

import { startFront } from '../support/front.ts';
import { OpensslAuthority } from '../support/openssl-authority.ts';
import { run, until } from '../support/program.ts';
import type { Run } from '../support/program.ts';

const MSGCERT = join(import.meta.dirname, '../../src/msgcert.ts');
const PASSWORD = 'password22';
const ASKED = 'Enter the certificate database password:\n';
const DATE = String.raw`\d{4}/\d\d/\d\d \d\d:\d\d`;

const folder = mkdtempSync(join(tmpdir(), 'sallyport-msgcert-'));
const site = join(folder, 'site');
const second = join(folder, 'second');
for (const host of [site, second]) {
  mkdirSync(host);
  writeFileSync(join(host, 'sallyport.yaml'), 'hostname: perseids\ndataDir: ./data\n');
}
const elsewhere = join(folder, 'elsewhere');
mkdirSync(elsewhere);
const authority = new OpensslAuthority(elsewhere, '/O=Elsewhere/CN=Elsewhere CA');
after(() => rmSync(folder, { recursive: true, force: true }));

/** A line as the guide prints it; the words of a shell, `"` included. `input`: what is typed at the prompts. */
function msgcert(
  line: string,
  { input = [PASSWORD], at = site }: { input?: string[]; at?: string } = {},
): Promise<Run> {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
  return run(process.execPath, [MSGCERT, ...words], {
    cwd: at,
    input: input.map((answer) => `${answer}\n`).join(''),
    env: { TZ: 'UTC' },
  });
}

/** The same, which must end with 0 and say exactly this at the prompts. Its standard output. */
async function done(
  line: string,
  options: Parameters<typeof msgcert>[1] & { asked?: string } = {},
): Promise<string> {
  const { code, stdout, stderr, text } = await msgcert(line, options);
  assert.equal(code, 0, `${line}: ${text}`);
  const asked = options.asked ?? ASKED;
  assert.ok(stderr.toString().startsWith(asked), `${line}: ${text}`);
  return stdout.toString();
}

test('the help is laid out as in the guide, for the tool and for each verb', async () => {
  const { code, stdout } = await msgcert('--help', { input: [] });
  assert.equal(code, 0);
  const page = stdout.toString();
  assert.match(
    page,
    /^The accepted values for SUBCMD are:\n\nadd-cert +Adds a certificate to the certificate database\n/m,
  );
  assert.match(page, /^The accepted value for GLOBAL_OPTS is:\n-\?, --help +Displays /m);
  for (const spelling of ['request-cert \u2013help', 'request-cert --help', 'request-cert -?'])
    assert.match(
      (await msgcert(spelling, { input: [] })).stdout.toString(),
      /^Usage: msgcert request-cert \[-W CERT_PW_FILE\] \{-S DN\|--name NAME \[--org ORG\] \[--org-unit ORG-UNIT\]\n +\[--city CITY\] \[--state STATE\] \[--country COUNTRY\]\}/,
    );
});

test('generate-certDB asks for a password twice, and Server-Cert is there to be shown', async () => {
  const said = await done('generate-certDB', {
    input: [PASSWORD, PASSWORD],
    asked: 'Choose the certificate database password:\nConfirm the certificate database password:\n',
  });
  assert.match(said, /Server-Cert: made, self-signed, for perseids/);
  assert.equal(
    readFileSync(join(site, 'sslpassword.conf'), 'utf8'),
    `Internal (Software) Token:${PASSWORD}\n`,
  );
  const page = await done('show-cert Server-Cert');
  for (const line of [
    /^ +Version: 3 \(0x2\)$/m,
    /^ +Serial Number:$/m,
    /^ +Issuer: "CN=perseids"$/m,
    /^ +Not Before: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$/m,
    /^ +Not After : \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$/m,
    /^ +Subject Public Key Info:$/m,
    /^ +Fingerprint \(MD5\):$/m,
    /^ +Fingerprint \(SHA1\):$/m,
    /^ +Certificate Trust Flags:$/m,
    /^ +SSL Flags:$/m,
    /^ +Email Flags:$/m,
    /^ +Object Signing Flags:$/m,
  ])
    assert.match(page, line);
});

test('the password is passed by -W, from a file that echo wrote', async () => {
  writeFileSync(join(site, 'certdbpwd'), `${PASSWORD}\n`);
  const said = await done('list-certs -W certdbpwd', { input: [], asked: '' });
  assert.match(said, /^1 certificate found$/m);
});

test('a self-signed certificate has the documented name and is valid for three months', async () => {
  await done(
    'add-selfsign-cert --name siroe --org comms --org-unit Messaging --city SantaClara --state ca --country us MySelfSigned-Cert',
  );
  const page = await done('show-cert MySelfSigned-Cert');
  assert.match(page, /^ +Subject: "CN=siroe,OU=Messaging,O=comms,L=SantaClara,ST=ca,C=us"$/m);
  const [facts] = JSON.parse(await done('show-cert --json MySelfSigned-Cert'));
  const months = (text: string): number =>
    new Date(text).getUTCFullYear() * 12 + new Date(text).getUTCMonth();
  assert.equal(months(facts.notAfter) - months(facts.notBefore), 3);
});

test('list-certs prints the documented table', async () => {
  const lines = (await done('list-certs')).split('\n');
  assert.match(lines[0] ?? '', /^Alias +Valid from +Expires on +Self- +Issued by +Issued to$/);
  assert.match(
    lines[3] ?? '',
    new RegExp(
      `^MySelfSigned-Cert +${DATE} +${DATE} +y +CN=siroe,OU=Messaging,O=comms,L=SantaClara,ST=ca,C=us +Same as issuer$`,
    ),
  );
  assert.match(lines[4] ?? '', new RegExp(`^Server-Cert +${DATE} +${DATE} +y +CN=perseids +Same as issuer$`));
  assert.equal(lines[5], '2 certificates found');
});

test('requests in both formats are signed elsewhere, added, and trusted once their CA is', async () => {
  const binary = join(site, 'my_ca_signed_request_cert');
  const ascii = join(site, 'my_casigned_request_cert');
  await done('request-cert --name aqua --org siroe --org-unit Messaging -o my_ca_signed_request_cert');
  await done(
    'request-cert --name aqua --org siroe --org-unit Messaging -F ascii -o my_casigned_request_cert',
  );
  assert.equal(readFileSync(binary)[0], 0x30);
  assert.match(readFileSync(ascii, 'utf8'), /^-----BEGIN (NEW )?CERTIFICATE REQUEST-----\n/);
  const subject = ['req', '-noout', '-verify', '-subject', '-nameopt', 'RFC2253', '-in'];
  assert.match(authority.openssl(...subject, binary, '-inform', 'DER'), /CN=aqua,OU=Messaging,O=siroe/);
  assert.match(authority.openssl(...subject, ascii), /CN=aqua,OU=Messaging,O=siroe/);

  authority.certify({ request: binary, form: 'DER', certificate: 'server-cert-file' });
  authority.certify({ request: ascii, certificate: 'second-cert-file' });

  const added = await msgcert(`add-cert ${elsewhere}/server-cert-file`);
  assert.equal(added.code, 0, added.text);
  assert.equal(added.stdout.toString(), 'server-cert-file: added, CN=aqua,OU=Messaging,O=siroe\n');
  assert.match(
    added.stderr.toString(),
    /is installed, but is not yet trusted: .*CN=Elsewhere CA,O=Elsewhere/,
  );
  assert.equal((await msgcert('chain server-cert-file')).code, 1);
  await done(`add-cert "First Certificate" ${elsewhere}/second-cert-file`);
  await done(`add-cert -C CA-cert ${elsewhere}/ca.pem`);
  assert.match(await done('chain server-cert-file'), /ends in a CA that is trusted for servers/);

  assert.match(await done('list-certs'), /^4 certificates found$/m);
  const authorities = await done('list-certs -C');
  assert.match(authorities, /^CA-cert .* y +CN=Elsewhere CA,O=Elsewhere +Same as issuer$/m);
  assert.match(authorities, /^1 certificate found$/m);
  assert.match(await done('show-cert CA-cert'), /SSL Flags:\n +Valid CA\n +Trusted CA\n +Email Flags:/);
  await done('trust CA-cert CT,,');
  assert.match(
    await done('show-cert CA-cert'),
    /SSL Flags:\n +Valid CA\n +Trusted CA\n +Trusted Client CA\n/,
  );
});

test('certificates are exported, and imported into another database', async () => {
  for (const [file, alias] of [
    ['first-certificate', '"First Certificate"'],
    ['first-server-certificate', 'Server-Cert'],
  ] as const) {
    await done(`export-cert -o ${folder}/${file} ${alias}`, {
      input: [PASSWORD, 'p12 secret', 'p12 secret'],
      asked: `${ASKED}Choose the PKCS#12 file password:\nConfirm the PKCS#12 file password:\n`,
    });
    assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600);
  }
  const p12 = ['pkcs12', '-in', `${folder}/first-certificate`, '-passin', 'pass:p12 secret', '-nodes'];
  assert.match(authority.openssl(...p12), /friendlyName: First Certificate[^]*BEGIN PRIVATE KEY/);

  const other = 'other password';
  await done('Generate_CertDB', { input: [other, other], asked: 'Choose', at: second });
  const asked = `${ASKED}Enter the PKCS#12 file password:\n`;
  const taken = await done(`import-cert ${folder}/first-certificate`, {
    input: [other, 'p12 secret'],
    asked,
    at: second,
  });
  assert.match(
    taken,
    /^First Certificate: imported with its private key, CN=aqua,OU=Messaging,O=siroe, with 1 certificate/,
  );
  const clash = await msgcert(`import-cert ${folder}/first-server-certificate`, {
    input: [other, 'p12 secret'],
    at: second,
  });
  assert.equal(clash.code, 1);
  assert.match(clash.text, /the nickname "Server-Cert" is taken/);
  await done('remove-cert Server-Cert', { input: [other], at: second });
  await done(`import-selfsign-cert ${folder}/first-server-certificate`, {
    input: [other, 'p12 secret'],
    asked,
    at: second,
  });
  assert.match(await done('list-certs', { input: [other], at: second }), /^2 certificates found$/m);
  assert.deepEqual(
    JSON.parse(await done('show-cert --json Server-Cert', { input: [other], at: second })),
    JSON.parse(await done('show-cert --json Server-Cert')),
  );
});

test('certificates are renewed and removed', async () => {
  const serial = async (alias: string): Promise<string> =>
    JSON.parse(await done(`show-cert --json ${alias}`))[0].serialNumber;
  const before = await serial('server-cert-file');
  authority.certify({
    request: join(site, 'my_ca_signed_request_cert'),
    form: 'DER',
    certificate: 'renewed',
    days: 120,
  });
  assert.match(await done(`renew-cert server-cert-file ${elsewhere}/renewed`), /^server-cert-file: renewed/);
  assert.notEqual(await serial('server-cert-file'), before);
  const own = await serial('MySelfSigned-Cert');
  await done('renew-selfsign-cert MySelfSigned-Cert');
  assert.notEqual(await serial('MySelfSigned-Cert'), own);
  for (const alias of ['MySelfSigned-Cert', 'server-cert-file', '"First Certificate"', 'CA-cert'])
    await done(`remove-cert ${alias}`);
  assert.match(await done('list-certs'), /^1 certificate found$/m);
  assert.match(await done('list-certs -C'), /^0 certificates found$/m);
  assert.deepEqual(readdirSync(join(site, 'certs')), ['cert.db']);
  assert.ok(!existsSync(join(site, 'data')));
});

test('a running server shows what the tool changes, without a restart and with its connections kept', async (t) => {
  const front = await startFront({
    folder: site,
    settings: {
      hostname: 'perseids',
      workers: 1,
      certificates: { watch: 1 },
      services: { imaps: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'implicit', backend: 'stores' } },
      backends: { stores: { servers: ['127.0.0.1:1'] } },
    },
  });
  t.after(() => front.stop());
  const connect = async (): Promise<tls.TLSSocket> => {
    const socket = tls.connect({ port: front.port('imaps'), host: '127.0.0.1', rejectUnauthorized: false });
    t.after(() => socket.destroy());
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return socket;
  };
  const served = async (): Promise<string> => {
    const socket = await connect();
    const { raw } = socket.getPeerCertificate();
    socket.destroy();
    return new X509Certificate(raw).serialNumber;
  };
  const stays = await connect();
  const before = await served();
  assert.match(
    (await msgcert('remove-cert Server-Cert')).text,
    /tls\.certificate \(by default\) names "Server-Cert"/,
  );
  const renewed = await msgcert('renew-selfsign-cert Server-Cert');
  assert.match(renewed.stderr.toString(), /\nthe running server takes it up by itself, within 1 s\n$/);
  await until(
    async () => (await served()) !== before,
    20_000,
    () => JSON.stringify(front.log().slice(-3)),
  );
  assert.deepEqual([stays.destroyed, stays.readyState], [false, 'open']);
});
