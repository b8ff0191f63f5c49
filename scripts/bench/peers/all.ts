// Every peer of the bench, in the order of the table.

import { dovecot } from './dovecot.ts';
import { haproxy } from './haproxy.ts';
import { nginxMail, nginxStream } from './nginx.ts';
import type { Peer } from './peer.ts';
import { perdition } from './perdition.ts';
import { sallyport } from './sallyport.ts';
import { stunnel } from './stunnel.ts';

export const PEERS: readonly Peer[] = [
  sallyport,
  nginxMail,
  nginxStream,
  haproxy,
  stunnel,
  dovecot,
  perdition,
];
