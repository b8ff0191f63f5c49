// One order with a certificate authority by ACME (RFC 8555), carried out with acme-client: account, order, challenges,
// certificate; and the question when to renew (RFC 9773). Runs in a process of its own, which is the only one that loads the library (cli/acme-order.ts).
// Promises: never throws; every wait ends; no request is repeated but for a refused nonce (RFC 8555 6.5), since the
// supervisor tries again later and counts. Each answer is expected before the CA is told to look, and no longer
// afterwards. What the CA says is passed on, bounded, and is for reading only.

import acme from 'acme-client';
import type { Authorization } from 'acme-client';
import { Agent } from 'node:https';

import { explain } from '../log.ts';

export type AcmeChallenge = 'http-01' | 'tls-alpn-01';

export interface AcmeTask {
  /** URL. */
  readonly directory: string;
  /** PEM of the CAs trusted for it; null: the runtime's. */
  readonly ca: string | null;
  /** PEM. */
  readonly accountKey: string;
  readonly contact: readonly string[];
  readonly agreeTerms: boolean;
  readonly eab: { readonly kid: string; readonly key: string } | null;
  readonly challenge: AcmeChallenge;
  readonly names: readonly string[];
  /** PEM. */
  readonly request: string;
}

/** What the CA will look for. */
export type ExpectedAnswer =
  | { readonly kind: 'http-01'; readonly token: string; readonly answer: string }
  /** PEM of a certificate for `name` that proves it (RFC 8737 3). */
  | { readonly kind: 'tls-alpn-01'; readonly name: string; readonly cert: string; readonly key: string };

/** Answers the CA; gives back the way to stop that. */
export type Expect = (answer: ExpectedAnswer) => () => void;

export type AcmeResult =
  /** PEM, the certificate first. Nobody has looked into it yet. */
  | { readonly kind: 'issued'; readonly chain: string }
  | {
      readonly kind: 'failed';
      readonly cause: string;
      /** How long the CA wants to be left alone; null: it did not say. */
      readonly retryAfterMs: number | null;
    };

/** When a certificate should be renewed, in the view of its CA. */
export interface RenewalQuestion {
  readonly directory: string;
  readonly ca: string | null;
  /** RFC 9773 4.1 */
  readonly certificate: string;
}

export type RenewalAnswer =
  /** Milliseconds since 1970. */
  | { readonly kind: 'window'; readonly start: number; readonly end: number }
  /** It does not say, or could not be asked. */
  | { readonly kind: 'none' };

const REQUEST_LIMIT_MS = 30_000;
const RESPONSE_BYTES_MAX = 1_048_576;
const CAUSE_CHARS_MAX = 1000;
/** How often the CA is asked whether it is done: after a second, then two, four and so on. */
const POLLS = { backoffAttempts: 15, backoffMin: 1000, backoffMax: 10_000 } as const;

export async function orderCertificate(task: AcmeTask, expect: Expect): Promise<AcmeResult> {
  const wait = prepareRequests(task);
  try {
    return { kind: 'issued', chain: await order(task, expect) };
  } catch (error) {
    const cause = explain(error).slice(0, CAUSE_CHARS_MAX) || 'no reason given';
    return { kind: 'failed', cause, retryAfterMs: wait.retryAfterMs };
  }
}

/** RFC 9773. Never throws: who gets no answer goes by the certificate's life. */
export async function askRenewal({ directory, ca, certificate }: RenewalQuestion): Promise<RenewalAnswer> {
  prepareRequests({ ca });
  const get = async (url: string): Promise<unknown> => (await acme.axios.get<unknown>(url)).data;
  try {
    const place = fieldOf(await get(directory), 'renewalInfo');
    if (typeof place !== 'string' || URL.parse(place)?.protocol !== 'https:') return { kind: 'none' };
    const window = fieldOf(await get(`${place.replace(/\/$/, '')}/${certificate}`), 'suggestedWindow');
    const [start, end] = ['start', 'end'].map((name) => Date.parse(String(fieldOf(window, name))));
    if (start === undefined || end === undefined || !(start < end)) return { kind: 'none' };
    return { kind: 'window', start, end };
  } catch {
    return { kind: 'none' };
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

async function order(task: AcmeTask, expect: Expect): Promise<string> {
  const client = new acme.Client({
    directoryUrl: task.directory,
    accountKey: task.accountKey,
    ...(task.eab === null ? {} : { externalAccountBinding: { kid: task.eab.kid, hmacKey: task.eab.key } }),
    ...POLLS,
  });
  // RFC 8555 7.3.1: with a key that it knows the CA gives back the account that there is.
  await client.createAccount({
    termsOfServiceAgreed: task.agreeTerms,
    contact: task.contact.map((address) => `mailto:${address}`),
  });
  const placed = await client.createOrder({
    identifiers: task.names.map((value) => ({ type: 'dns', value })),
  });
  for (const authorization of await client.getAuthorizations(placed)) {
    await prove(client, authorization, { task, expect });
  }
  const finalized = await client.finalizeOrder(placed, task.request);
  return client.getCertificate({ ...finalized, url: placed.url });
}

interface Proving {
  readonly task: AcmeTask;
  readonly expect: Expect;
}

/** One name after another: the CA need not look at many at once, and the first that fails says which. */
async function prove(
  client: acme.Client,
  authorization: Authorization,
  { task, expect }: Proving,
): Promise<void> {
  const name = authorization.identifier.value;
  // A CA may remember that a name was proven lately.
  if (authorization.status === 'valid') return;
  const challenge = authorization.challenges.find(({ type }) => type === task.challenge);
  if (challenge === undefined) {
    const offered = authorization.challenges.map(({ type }) => type).join(', ');
    throw new Error(`${name}: the CA offers ${offered || 'no challenge'}, not ${task.challenge}`);
  }
  const answer = await client.getChallengeKeyAuthorization(challenge);
  const forget = expect(await answerTo({ authorization, token: challenge.token, answer, task }));
  try {
    await client.completeChallenge(challenge);
    await client.waitForValidStatus(challenge);
  } catch (error) {
    throw new Error(`${name}: the CA did not accept ${task.challenge}`, { cause: error });
  } finally {
    forget();
  }
}

interface Answer {
  readonly authorization: Authorization;
  readonly token: string;
  readonly answer: string;
  readonly task: AcmeTask;
}

async function answerTo({ authorization, token, answer, task }: Answer): Promise<ExpectedAnswer> {
  if (task.challenge === 'http-01') return { kind: 'http-01', token, answer };
  const key = await acme.crypto.createPrivateEcdsaKey('P-256');
  const [, cert] = await acme.crypto.createAlpnCertificate(authorization, answer, key);
  return {
    kind: 'tls-alpn-01',
    name: authorization.identifier.value,
    cert: cert.toString(),
    key: key.toString(),
  };
}

/** Bounds the library's requests. What comes back is filled in when the CA asks for patience. */
function prepareRequests({ ca }: Pick<AcmeTask, 'ca'>): { retryAfterMs: number | null } {
  const wait: { retryAfterMs: number | null } = { retryAfterMs: null };
  const { axios } = acme;
  // The library's own would repeat requests, for as long as the CA says, and hide why a connection failed.
  axios.interceptors.request.clear();
  axios.interceptors.response.clear();
  axios.interceptors.response.use((response) => {
    // RFC 8555 6.6: with 429, and 503, comes the time to wait.
    if (response.status === 429 || response.status === 503)
      wait.retryAfterMs = patience(String(response.headers['retry-after'] ?? ''));
    return response;
  });
  Object.assign(axios.defaults, {
    timeout: REQUEST_LIMIT_MS,
    maxContentLength: RESPONSE_BYTES_MAX,
    maxRedirects: 0,
    httpsAgent: new Agent({ keepAlive: true, ...(ca === null ? {} : { ca }) }),
  });
  // RFC 8555 6.1: a client says which one it is.
  const common = axios.defaults.headers.common;
  common['User-Agent'] = `sallyport ${String(common['User-Agent'] ?? '')}`.trim();
  return wait;
}

/** Seconds only; a date is as good as nothing said, then the next try comes by our own back-off. */
function patience(retryAfter: string): number | null {
  return /^\d{1,7}$/.test(retryAfter) ? Number(retryAfter) * 1000 : null;
}
