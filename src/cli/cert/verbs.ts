// The verbs of `sallyport cert`, in the order of the help: the documented twelve, then those that are ours.

import { addCertificate } from './add-cert.ts';
import { changePassword } from './change-password.ts';
import { generateDatabase } from './generate.ts';
import { homeOf } from './home.ts';
import { listCertificates } from './list.ts';
import { exportCertificate, importCertificate, importSelfSigned } from './pkcs12.ts';
import { removeCertificate } from './remove.ts';
import { renewCertificate } from './renew.ts';
import { requestCertificate, signRequestVerb } from './request.ts';
import { addSelfSigned, renewSelfSignedVerb } from './self-signed.ts';
import { showCertificate, showChain } from './show.ts';
import { setTrust } from './trust.ts';
import {
  addInToken,
  alsoInTokens,
  exportFromToken,
  removeInToken,
  renewInToken,
  renewSelfSignedInToken,
  REQUEST_OPTIONS,
  requestInToken,
  selfSignInToken,
  showInToken,
} from './token-verbs.ts';
import type { TokenVerb } from './token-verbs.ts';
import type { Given, Verb } from './verb.ts';

/** The first word is the alias, or what `aliasOf` finds. */
function inBoth(
  verb: Verb,
  inToken: TokenVerb,
  aliasOf: (given: Given) => string | undefined = ({ words }) => words[0],
): Verb {
  return alsoInTokens(verb, inToken, (given) => homeOf(aliasOf(given) ?? ''));
}

const requestAlsoInToken = alsoInTokens(
  {
    ...requestCertificate,
    usage: `${requestCertificate.usage}\n[--token MODULE [--key NICKNAME]]`,
    options: { ...REQUEST_OPTIONS, ...requestCertificate.options },
  },
  requestInToken,
  (given) => {
    const module = given.text('token');
    if (module !== undefined) return { kind: 'token', module, nickname: '' };
    if (given.text('key') !== undefined) throw new Error('--key is for keys in tokens, with --token MODULE');
    return { kind: 'database', nickname: '' };
  },
);

export const VERBS: readonly Verb[] = [
  inBoth(addCertificate, addInToken, (given) => (given.words.length > 1 ? given.words[0] : undefined)),
  inBoth(addSelfSigned, selfSignInToken),
  inBoth(exportCertificate, exportFromToken),
  generateDatabase,
  importCertificate,
  importSelfSigned,
  listCertificates,
  inBoth(removeCertificate, removeInToken),
  inBoth(renewCertificate, renewInToken),
  inBoth(renewSelfSignedVerb, renewSelfSignedInToken),
  requestAlsoInToken,
  inBoth(showCertificate, showInToken),
  showChain,
  changePassword,
  signRequestVerb,
  setTrust,
];
