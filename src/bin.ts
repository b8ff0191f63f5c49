#!/usr/bin/env node
// The installed command: an older Node gets one clear sentence instead of a syntax error. So nothing newer than ES2017
// modules may stand in this file, and nothing else is imported before the check.

const found = process.versions.node.split('.').map(Number);
const major = found[0] || 0;
const minor = found[1] || 0;

if (major > 24 || (major === 24 && minor >= 12)) {
  import('./main.ts').catch((error) => {
    process.stderr.write('sallyport: ' + (error instanceof Error ? error.stack : error) + '\n');
    process.exit(1);
  });
} else {
  process.stderr.write('sallyport: expected Node 24.12 or newer, found ' + process.versions.node + '\n');
  process.exit(1);
}
