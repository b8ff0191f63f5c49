#!/usr/bin/env node
// The installed `msgcert` command: `sallyport cert` by the name that it had. Like bin.ts it must be readable for an old
// Node, which gets one clear sentence.

const found = process.versions.node.split('.').map(Number);
const major = found[0] || 0;
const minor = found[1] || 0;

if (major > 24 || (major === 24 && minor >= 12)) {
  process.argv.splice(2, 0, 'cert');
  import('./main.ts').catch((error) => {
    process.stderr.write('msgcert: ' + (error instanceof Error ? error.stack : error) + '\n');
    process.exit(1);
  });
} else {
  process.stderr.write('msgcert: expected Node 24.12 or newer, found ' + process.versions.node + '\n');
  process.exit(1);
}
