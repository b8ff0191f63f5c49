// What the settings of a backend demand of each other and of the services that lead there: who checks a password, who
// logs in on whose behalf, which servers an order or a check makes sense for.

import type { Report, Reporter } from './check.ts';
import type { GivenBackend, GivenService, GivenSettings } from './entries.ts';
import { found } from './misfit.ts';
import { checkAdmin } from './references-domains.ts';
import { suggest } from './suggest.ts';
import { everyVariant } from './variants.ts';

export function checkBackends(given: GivenSettings, report: Report): void {
  for (const [service, told] of everyVariant(given, report)) checkVerify(service, given, told);
  for (const backend of given.backends.values()) {
    checkProxy(backend, report);
    checkProbe(backend, given, report);
    checkOrder(backend, report);
    checkPins(backend, report);
  }
}

function backendOf(service: GivenService, given: GivenSettings): GivenBackend | undefined {
  const { protocol, channel, backend } = service.values;
  const relay = given.channels.get(channel ?? '')?.values.relay;
  return given.backends.get((protocol === 'smtp' ? relay : backend) ?? '');
}

/** Where an administrator logs in for everybody, somebody else must have looked at the password. */
function checkVerify(service: GivenService, given: GivenSettings, report: Reporter): void {
  const { verify } = service.values;
  const path = [...service.path, 'verify'];
  if (service.isWrong('verify')) return;
  if (verify.kind === 'backend') {
    const backend = backendOf(service, given);
    if (backend?.values.login !== 'proxy') return;
    const name = String(backend.path.at(-1));
    const others = given.top.values.directory.type === 'none' ? '' : 'directory or ';
    const text = `expected ${others}{ store: BACKEND }: backends.${name} has login: proxy, so nobody would check the password`;
    return report.add(path, text);
  }
  if (verify.kind === 'directory') {
    if (given.top.values.directory.type !== 'none' || given.top.isWrong('directory.type')) return;
    const text =
      'expected backend or { store: BACKEND }: directory.type is none, so nobody would check the password';
    return report.add(path, text);
  }
  const store = given.backends.get(verify.store);
  if (store === undefined) {
    const near = suggest(verify.store, [...given.backends.keys()]);
    return report.add(path, `there is no backend ${found(verify.store)}${near}`);
  }
  const spoken = protocolsOf(verify.store, given);
  if (spoken.size > 0 && !spoken.has('imap')) {
    report.add(
      path,
      `expected a backend of IMAP stores, found ${found(verify.store)} of ${[...spoken].join(', ')}`,
    );
  } else if (store.values.servers === null && !store.isWrong('servers')) {
    report.add(path, `${found(verify.store)} has no servers of its own, which could be asked`);
  } else if (hasUnixServer(store)) {
    report.add(path, `the servers of ${found(verify.store)} must be host:port, found unix:/path`);
  } else if (expectsHeader(store)) {
    report.add(path, `${found(verify.store)} expects a PROXY header, which a login of our own does not have`);
  }
}

/** What is spoken with a backend, by the services that lead there. */
function protocolsOf(name: string, given: GivenSettings): ReadonlySet<string> {
  const leading = [...given.services.values()].filter(
    (service) => backendOf(service, given)?.path.at(-1) === name,
  );
  return new Set(leading.flatMap(({ values }) => values.protocol ?? []));
}

function hasUnixServer({ values }: GivenBackend): boolean {
  return values.servers?.some(({ kind }) => kind === 'unix') ?? false;
}

function expectsHeader({ values }: GivenBackend): boolean {
  return values.client.some(({ method }) => method.startsWith('proxy-'));
}

/** An administrator may also be there for others than `login: proxy`. */
function checkProxy(backend: GivenBackend, report: Report): void {
  if (checkAdmin(backend, report) || backend.values.login !== 'proxy' || backend.isWrong('login')) return;
  const text = 'missing, login: proxy needs { user: …, password: … } of a store administrator';
  report.add([...backend.path, 'admin'], text);
}

function checkProbe(backend: GivenBackend, given: GivenSettings, report: Report): void {
  const { check } = backend.values;
  const path = [...backend.path, 'check'];
  if (backend.isWrong('check.user') || backend.isWrong('check.password')) return;
  if ((check.user === null) !== (check.password === null)) {
    const key = check.user === null ? 'user' : 'password';
    return report.add([...path, key], 'missing, an account is a user and a password');
  }
  if (check.user === null) return;
  const spoken = protocolsOf(String(backend.path.at(-1)), given);
  if (spoken.size > 0 && !spoken.has('imap')) report.add([...path, 'user'], 'only for imap');
  else if (hasUnixServer(backend)) {
    report.add([...path, 'user'], 'only for servers that are host:port, found unix:/path');
  } else if (expectsHeader(backend)) {
    report.add([...path, 'user'], 'not for servers that expect a PROXY header');
  }
}

function checkOrder(backend: GivenBackend, report: Report): void {
  const { balance, servers } = backend.values;
  if (backend.isWrong('balance')) return;
  for (const [index, { priority }] of (servers ?? []).entries()) {
    if (priority === undefined || balance === 'priority') continue;
    report.add(
      [...backend.path, 'servers', index],
      `priority is only for balance: priority, this is ${balance}`,
    );
  }
}

function checkPins(backend: GivenBackend, report: Report): void {
  const { mode, pin } = backend.values.tls;
  if (pin.length > 0 && mode === 'notls') {
    report.add([...backend.path, 'tls', 'pin'], 'expected TLS (maytls, musttls, implicit), found notls');
  }
}
