#!/usr/bin/env node
// The installed `msgcert` command. Certificate administration is not in this version; it says so and changes nothing.
// Like bin.ts it must be readable for an old Node.

const found = process.versions.node.split('.').map(Number);
const major = found[0] || 0;
const minor = found[1] || 0;

if (major > 24 || (major === 24 && minor >= 12)) {
  process.stderr.write(
    'msgcert: certificate administration is not in this version; name PEM files in sallyport.yaml (tls.certificate)\n',
  );
  process.exit(64);
} else {
  process.stderr.write('msgcert: expected Node 24.12 or newer, found ' + process.versions.node + '\n');
  process.exit(1);
}
