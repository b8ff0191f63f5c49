// The certificate database as ACME uses it: what a nickname has now, the key of the account, a new key with its request,
// and the certificate that came of it, put in the place of the one before in one change. Opens the database for each of
// these and closes it again. On failure: SettingsError that names the file.

import { X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import { isSelfSigned } from '../../certdb/chain.ts';
import { NO_TRUST } from '../../certdb/database.ts';
import { readIssued } from '../../certdb/issued.ts';
import { generateKey, softwareSigner } from '../../certdb/keys.ts';
import { namesOf } from '../../certdb/pem.ts';
import type { AcmeSettings, Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import type { World } from '../../world.ts';
import type { CertificateLife } from './plan.ts';
import { CertificateKeeper } from '../certificates/keeper.ts';

/** A certificate that is being ordered. The key is in no file yet. */
export interface NewKey {
  readonly key: KeyObject;
  /** PEM. */
  readonly request: string;
}

export interface Adoption {
  readonly nickname: string;
  readonly key: KeyObject;
  /** PEM, as the CA sent it. */
  readonly chain: string;
  readonly names: readonly string[];
}

/** RFC 5280 A.1, ub-common-name. */
const MAX_COMMON_NAME = 64;

export class AcmeCertificates {
  readonly #settings: Settings;
  readonly #world: World;

  constructor(settings: Settings, world: World) {
    this.#settings = settings;
    this.#world = world;
  }

  /** null: it has none with this type of key. */
  life(nickname: string, keyType: AcmeSettings['keyType']): CertificateLife | null {
    return this.#use((keeper) => {
      const entry = keeper.entries().find((one) => one.nickname === nickname && one.keyType === keyType);
      return entry === undefined || !entry.hasKey ? null : lifeOf(new X509Certificate(entry.cert));
    });
  }

  /** What its CA calls the certificate (RFC 9773); null: there is none, or no name for it. */
  async renewalId(nickname: string, keyType: AcmeSettings['keyType']): Promise<string | null> {
    const { renewalId } = await import('../../certdb/renewal-id.ts');
    return this.#use((keeper) => {
      const entry = keeper.entries().find((one) => one.nickname === nickname && one.keyType === keyType);
      const certificate = entry === undefined ? null : new X509Certificate(entry.cert);
      return certificate === null || isSelfSigned(certificate) ? null : renewalId(certificate);
    });
  }

  /**
   * PEM of the account's key at this CA. It is made once, and kept beside the certificates. Fails where the database
   * could not be written to: what a CA issued for nothing counts towards its limits all the same.
   */
  accountKey(directory: string): string {
    return this.#use((keeper) => {
      const database = keeper.database();
      const found = database.accountKey(directory);
      if (found !== null) {
        database.rehearse((change) => change.keepAccount(directory, found));
        return pemOf(found);
      }
      // RFC 8555 6.2: ES256 is one that every CA takes.
      const key = generateKey({ type: 'ec' });
      database.change((change) => change.keepAccount(directory, key));
      return pemOf(key);
    });
  }

  async newKey(names: readonly string[], type: AcmeSettings['keyType']): Promise<NewKey> {
    // Loaded when needed: the packages that write DER are big.
    const { makeRequest } = await import('../../certdb/request.ts');
    const { nameOf } = await import('../../certdb/distinguished-name.ts');
    const [first = ''] = names;
    const subject = first.length <= MAX_COMMON_NAME ? nameOf({ name: first }) : { parts: [] };
    if ('problem' in subject) throw new SettingsError([subject.problem]);
    const key = generateKey({ type });
    const request = await makeRequest(softwareSigner(key), { subject, dns: [...names], ip: [], email: [] });
    return { key, request: requestPem(request) };
  }

  /** Keeps what the CA issued. A certificate that only held the place goes, whatever its key. */
  adopt({ nickname, key, chain, names }: Adoption): CertificateLife {
    const issued = readIssued(chain, { key, names, now: this.#world.now() });
    if (typeof issued === 'string') throw new SettingsError([issued]);
    const { cert, extra, certificate } = issued;
    this.#use((keeper) => {
      const database = keeper.database();
      database.change((change) => {
        const before = database.entries().filter((entry) => entry.nickname === nickname);
        for (const entry of before) {
          const isReplaced = entry.keyType === certificate.publicKey.asymmetricKeyType;
          if (!isReplaced && !isSelfSigned(new X509Certificate(entry.cert))) continue;
          change.removeCertificate(nickname, entry.keyType);
        }
        change.addKey(key);
        const [{ trust } = { trust: NO_TRUST }] = before;
        change.addCertificate({ nickname, cert, extra, trust });
      });
    });
    return lifeOf(certificate);
  }

  #use<T>(work: (keeper: CertificateKeeper) => T): T {
    const keeper = new CertificateKeeper(this.#settings, this.#world);
    try {
      return work(keeper);
    } finally {
      keeper.close();
    }
  }
}

function lifeOf(certificate: X509Certificate): CertificateLife {
  return {
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
    names: namesOf(certificate),
    isSelfSigned: isSelfSigned(certificate),
  };
}

// RFC 7468 7.
function requestPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
