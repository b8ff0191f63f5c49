// The verbs of `sallyport cert` for certificates in tokens, `MODULE:NICKNAME`: each takes the place of the database's verb
// where such an alias is given. Keys are made in the token and stay there, so there is no export of them and no import.

import { X509Certificate } from 'node:crypto';

import { isSelfSigned } from '../../certdb/chain.ts';
import { certificateFacts, certificateText } from '../../certdb/describe.ts';
import { commonNameOf } from '../../certdb/distinguished-name.ts';
import { makeRequest, renewSelfSigned, selfSign } from '../../certdb/issue.ts';
import { readCertificates } from '../../certdb/read-certificate.ts';
import {
  addTokenCertificate,
  generateTokenKey,
  removeTokenCertificate,
  replaceTokenCertificate,
} from '../../certdb/token-changes.ts';
import { namedCertificates, tokenCertificates, tokenKeys, tokenSigner } from '../../certdb/token-objects.ts';
import type { TokenKeyEntry } from '../../certdb/token-objects.ts';
import type { TokenSession } from '../../certdb/token.ts';
import { SettingsError } from '../../errors.ts';
import { readTokenKeyWish } from '../token/generate.ts';
import type { PlainKeyWish } from '../token/generate.ts';
import { withToken } from '../token/open.ts';
import type { Home } from './home.ts';
import { factsOf } from './list.ts';
import { referencesTo } from './references.ts';
import { KEY_TYPES } from './remove.ts';
import { pemOf } from './request.ts';
import { deliver, refuseTerminal } from './result.ts';
import { validityOf } from './self-signed.ts';
import { readAlternatives, readSubject, USES } from './subject.ts';
import { dateText } from './table.ts';
import { tokenEntry } from './token-entries.ts';
import { endOf, USUAL_VALIDITY } from './validity.ts';
import { oneOf, quoted } from './verb.ts';
import type { Desk, Given, Job, Options, Verb } from './verb.ts';

export type TokenHome = Extract<Home, { kind: 'token' }>;
export type TokenVerb = (home: TokenHome, given: Given) => Job;

const ID_BYTES = 20;

export const REQUEST_OPTIONS = {
  token: {
    type: 'string',
    value: 'MODULE',
    doc: 'the key is in the token of this module (default: in the database)',
  },
  key: {
    type: 'string',
    value: 'NICKNAME',
    doc: 'with --token: the key by this name, made where there is none (default: the common name)',
  },
} as const satisfies Options;

export const addInToken: TokenVerb = ({ module, nickname }, given) => {
  const file = given.words.at(-1) ?? '';
  if (given.flag('ca'))
    throw new Error('-C is for the database, which says what authorities are trusted for');
  return (desk) => {
    const { certificates, warnings } = readCertificates(file, desk.program.world.now());
    for (const warning of warnings) desk.note(`warning: ${warning}`);
    return withToken(desk, { module, access: 'write' }, (session) => {
      const [leaf = '', ...issuers] = certificates;
      const added = addTokenCertificate(session, nickname, leaf);
      const { subject } = factsOf(tokenEntry(module, added));
      desk.say(`${module}:${nickname}: added, ${subject}`);
      if (!added.hasKey) desk.note('there is no private key for it in the token, so no server can use it');
      if (issuers.length > 0)
        desk.note(
          `the other certificates of ${file} were left out, put them into the database: ${desk.tool} add-cert -C`,
        );
    });
  };
};

export const selfSignInToken: TokenVerb = ({ module, nickname }, given) => {
  const subject = readSubject(given);
  const use = oneOf('--use', given.text('use'), USES) ?? 'server';
  const names = readAlternatives(given, subject, use);
  const wish = readTokenKeyWish(given);
  const validity = validityOf(given.text('validity')) ?? USUAL_VALIDITY;
  return (desk) =>
    withToken(desk, { module, access: 'write' }, async (session) => {
      const key = keyFor(session, { nickname, wish, desk });
      const now = desk.program.world.now();
      const term = { now, notAfter: endOf(now, validity) };
      const cert = await selfSign(tokenSigner(session, key), { subject, ...names, ...term, use });
      const facts = factsOf(tokenEntry(module, addTokenCertificate(session, nickname, cert)));
      const until = dateText(facts.notAfter);
      desk.say(`${module}:${nickname}: made, ${facts.subject}, self-signed, valid until ${until}`);
    });
};

export const requestInToken: TokenVerb = ({ module }, given) => {
  const subject = readSubject(given);
  const names = readAlternatives(given, subject, 'server');
  const wish = readTokenKeyWish(given);
  const isText = oneOf('-F', given.text('format'), ['ascii', 'binary']) === 'ascii';
  const output = given.text('output');
  const nickname = given.text('key') ?? commonNameOf(subject) ?? '';
  if (nickname === '') throw new Error('--key NICKNAME: expected a name for the key');
  return (desk) => {
    if (!isText) refuseTerminal(output, '-o OUTPUT_FILE keeps it, -F ascii makes it text');
    return withToken(desk, { module, access: 'write' }, async (session) => {
      const key = keyFor(session, { nickname, wish, desk });
      const der = await makeRequest(tokenSigner(session, key), { subject, ...names });
      deliver(desk, isText ? Buffer.from(pemOf(der)) : der, { output, kind: 'public' });
      const alias = quoted(`${module}:${nickname}`);
      desk.note(`when the certificate comes: ${desk.tool} add-cert ${alias} CERT_FILE`);
    });
  };
};

interface KeyWanted {
  readonly nickname: string;
  readonly wish: PlainKeyWish;
  readonly desk: Desk;
}

/** The key of this name and type that has no certificate yet, or a new one. */
function keyFor(session: TokenSession, { nickname, wish, desk }: KeyWanted): TokenKeyEntry {
  const taken = tokenCertificates(session);
  if (taken.some((one) => one.nickname === nickname && one.keyType === wish.type))
    throw session.module.failure(
      `the nickname "${nickname}" is taken, by a certificate with a key of this type`,
    );
  const waiting = tokenKeys(session).find(
    ({ label, keyType, id }) =>
      label === nickname && keyType === wish.type && !taken.some((one) => one.id === id),
  );
  if (waiting !== undefined) return waiting;
  return generateTokenKey(session, wish, { label: nickname, id: desk.program.world.random(ID_BYTES) });
}

export const showInToken: TokenVerb = ({ module, nickname }, given) => {
  const isText = oneOf('-F', given.text('format'), ['readable', 'ascii']) === 'ascii';
  const output = given.text('output');
  return (desk) =>
    withToken(desk, { module, access: 'read' }, (session) => {
      const entries = namedCertificates(session, nickname).map((found) => tokenEntry(module, found));
      const pages = entries.map(({ nickname: alias, cert, trust, hasKey }) => ({
        alias,
        ...certificateFacts(cert, { trust, hasKey }),
        hasKey,
      }));
      const page = ({ cert, trust, hasKey }: (typeof entries)[number]): string =>
        isText ? `${cert.trimEnd()}\n` : certificateText(cert, { trust, hasKey });
      const text = given.flag('json') ? `${JSON.stringify(pages, null, 2)}\n` : entries.map(page).join('\n');
      deliver(desk, Buffer.from(text), { output, kind: 'public' });
    });
};

export const removeInToken: TokenVerb = ({ module, nickname }, given) => {
  const keyType = oneOf('--keytype', given.text('keytype'), KEY_TYPES);
  const alias = `${module}:${nickname}`;
  return (desk) => {
    const { settings } = desk.place;
    const needed = settings === null || given.flag('force') ? [] : referencesTo(alias, settings);
    if (needed.length > 0)
      throw new SettingsError(
        needed.map(
          (where) => `${where} names "${alias}", which is needed there; --force removes it all the same`,
        ),
      );
    return withToken(desk, { module, access: 'write' }, (session) => {
      const gone = removeTokenCertificate(session, nickname, { keyType, keys: 'too' });
      desk.say(`${alias}: removed${gone.some(({ hasKey }) => hasKey) ? ', and its key' : ''}`);
    });
  };
};

export const renewInToken: TokenVerb = ({ module, nickname }, given) => {
  const file = given.words.at(-1) ?? '';
  return (desk) => {
    const [leaf = ''] = readCertificates(file, desk.program.world.now()).certificates;
    return withToken(desk, { module, access: 'write' }, (session) => {
      const { notAfter } = factsOf(tokenEntry(module, replaceTokenCertificate(session, nickname, leaf)));
      desk.say(`${module}:${nickname}: renewed, valid until ${dateText(notAfter)}`);
    });
  };
};

export const renewSelfSignedInToken: TokenVerb = ({ module, nickname }, given) => {
  const validity = validityOf(given.text('validity'));
  return (desk) =>
    withToken(desk, { module, access: 'write' }, async (session) => {
      for (const { cert, id } of namedCertificates(session, nickname)) {
        const old = new X509Certificate(cert);
        if (!isSelfSigned(old))
          throw session.module.failure(`"${nickname}" is not self-signed: ${desk.tool} renew-cert`);
        const key = tokenKeys(session).find((one) => one.id === id);
        if (key === undefined) throw session.module.failure(`there is no private key for "${nickname}"`);
        const now = desk.program.world.now();
        const usual = now + (Date.parse(old.validTo) - Date.parse(old.validFrom));
        const notAfter = validity === undefined ? usual : endOf(now, validity);
        const next = await renewSelfSigned(tokenSigner(session, key), old, { now, notAfter });
        replaceTokenCertificate(session, nickname, next);
        desk.say(`${module}:${nickname}: renewed, valid until ${dateText(notAfter)}`);
      }
    });
};

export const exportFromToken: TokenVerb =
  ({ module, nickname }) =>
  () => {
    const remedy = `show-cert -F ascii ${quoted(`${module}:${nickname}`)} gives the certificate`;
    throw new SettingsError([`the private key of "${module}:${nickname}" never leaves its token; ${remedy}`]);
  };

/** A verb of the database that knows tokens too. */
export function alsoInTokens(verb: Verb, inToken: TokenVerb, homeOf: (given: Given) => Home): Verb {
  return {
    ...verb,
    read(given) {
      const home = homeOf(given);
      return home.kind === 'token' ? inToken(home, given) : verb.read(given);
    },
  };
}
