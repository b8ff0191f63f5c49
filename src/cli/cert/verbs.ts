// The verbs of `sallyport cert`, in the order of the help: the documented twelve, then those that are ours.

import { addCertificate } from './add-cert.ts';
import { changePassword } from './change-password.ts';
import { generateDatabase } from './generate.ts';
import { listCertificates } from './list.ts';
import { exportCertificate, importCertificate, importSelfSigned } from './pkcs12.ts';
import { removeCertificate } from './remove.ts';
import { renewCertificate } from './renew.ts';
import { requestCertificate, signRequestVerb } from './request.ts';
import { addSelfSigned, renewSelfSignedVerb } from './self-signed.ts';
import { showCertificate, showChain } from './show.ts';
import { setTrust } from './trust.ts';
import type { Verb } from './verb.ts';

export const VERBS: readonly Verb[] = [
  addCertificate,
  addSelfSigned,
  exportCertificate,
  generateDatabase,
  importCertificate,
  importSelfSigned,
  listCertificates,
  removeCertificate,
  renewCertificate,
  renewSelfSignedVerb,
  requestCertificate,
  showCertificate,
  showChain,
  changePassword,
  signRequestVerb,
  setTrust,
];
