// What settings about proxies before and behind this one demand of each other: passwords that are shown and asked for,
// ways to introduce a client that exclude each other.

import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';

export function checkTiers(given: GivenSettings, report: Report): void {
  for (const { path, values } of given.services.values()) {
    const { from, password } = values.frontTier;
    const place = [...path, 'frontTier', 'password'];
    if (password === null || values.protocol === null) continue;
    if (values.protocol !== 'smtp') report.add(place, `only for smtp, this is ${values.protocol}`);
    else if (from.length === 0) report.add(place, 'nobody is asked for it, `frontTier.from` is empty');
  }
  for (const { path, values } of given.backends.values()) {
    const methods = new Set(values.client.map(({ method }) => method));
    if (methods.has('xpehlo') && values.xpehloPassword === null) {
      report.add([...path, 'xpehloPassword'], 'missing, `client: [xpehlo]` shows it');
    }
    if (methods.has('xpehlo') && methods.has('xclient')) {
      report.add([...path, 'client'], 'expected xclient or xpehlo, a server takes one of them only');
    }
    if (!methods.has('xpehlo') && values.xpehloPassword !== null) {
      report.add([...path, 'xpehloPassword'], 'nobody is shown it, `client` has no xpehlo');
    }
  }
}
