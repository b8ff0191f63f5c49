// Which settings name a certificate, so that it is not removed from under a server. Pure but for reading the file for
// the lines.

import { readFileSync } from 'node:fs';

import { EMPTY_TREE, parseSettings } from '../../config/lines.ts';
import type { SettingsTree } from '../../config/lines.ts';
import type { CertificateRef, ServerTlsSettings, Settings } from '../../config/settings.ts';

/** `FILE:LINE: KEY` of each; none where there is no settings file. */
export function referencesTo(nickname: string, settings: Settings): readonly string[] {
  const { file } = settings;
  if (file === null) return [];
  const tree = treeOf(file);
  const isNamed = (refs: readonly CertificateRef[]): boolean => refs.some((ref) => nameOf(ref) === nickname);
  const keysOf = ({ certificates, sni }: ServerTlsSettings): string[] => [
    ...(isNamed(certificates) ? ['certificate'] : []),
    ...(Object.values(sni).some(isNamed) ? ['sni'] : []),
  ];
  const paths = [
    ...Object.values(settings.services)
      .filter(({ tlsMode }) => tlsMode !== 'notls')
      .flatMap(({ name, tls }) =>
        keysOf(tls).map((key) => {
          const own = ['services', name, 'tls', key];
          return isGiven(tree, own) ? own : ['tls', key];
        }),
      ),
    ...Object.entries(settings.backends)
      .filter(([, { tls }]) => isNamed(tls.certificates))
      .map(([name]) => ['backends', name, 'certificate']),
  ];
  return [...new Set(paths.map((path) => placeText(file, path, tree)))];
}

/** `module:nickname` where it is in a token. */
function nameOf(ref: CertificateRef): string | null {
  if (ref.kind === 'files') return null;
  return ref.kind === 'token' ? `${ref.module}:${ref.nickname}` : ref.nickname;
}

function placeText(file: string, path: readonly string[], tree: SettingsTree): string {
  const key = path.join('.');
  if (!isGiven(tree, path)) return `${file}: ${key} (by default)`;
  const line = tree.lineOf(path);
  return `${line === null ? file : `${file}:${line}`}: ${key}`;
}

function isGiven({ root }: SettingsTree, path: readonly string[]): boolean {
  let node: unknown = root;
  for (const key of path) {
    if (!(node instanceof Map) || !node.has(key)) return false;
    node = node.get(key);
  }
  return true;
}

function treeOf(file: string): SettingsTree {
  try {
    return parseSettings(readFileSync(file, 'utf8'));
  } catch {
    return EMPTY_TREE;
  }
}
