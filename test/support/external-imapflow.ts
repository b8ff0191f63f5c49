// imapflow that logs in by its certificate: it knows PLAIN, LOGIN and tokens only, so its own step is replaced by
// AUTHENTICATE EXTERNAL, sent by its own machinery.

import { ImapFlow, type ImapFlowOptions } from 'imapflow';

interface Machinery {
  readonly capabilities: ReadonlyMap<string, unknown>;
  authenticated: unknown;
  exec(command: string, attributes: readonly object[]): Promise<{ next(): void }>;
  setAuthenticationState(): Promise<void>;
}

export function imapflowByCertificate(options: ImapFlowOptions): ImapFlow {
  const client = new ImapFlow({ ...options, auth: { user: 'by certificate' } });
  const machinery = client as unknown as Machinery;
  const authenticate = async (): Promise<boolean> => {
    if (!machinery.capabilities.has('AUTH=EXTERNAL')) throw new Error('EXTERNAL is not offered');
    const atoms = ['EXTERNAL', '='].map((value) => ({ type: 'ATOM', value }));
    (await machinery.exec('AUTHENTICATE', atoms)).next();
    machinery.authenticated = 'by certificate';
    await machinery.setAuthenticationState();
    return true;
  };
  Object.defineProperty(client, 'authenticate', { value: authenticate });
  return client;
}
