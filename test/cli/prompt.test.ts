import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PASSWORD, toolWithDatabase } from '../support/cert-tool.ts';
import type { CertTool } from '../support/cert-tool.ts';
import { run } from '../support/program.ts';

/** A program on a terminal of its own: each answer is typed once its question stands there. */
const ON_A_TERMINAL = `
import os, pty, select, sys, termios
shell, *steps = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp('bash', ['bash', '-c', shell])
seen = b''
def read():
    global seen
    if not select.select([terminal], [], [], 20)[0]:
        sys.exit('nothing came: ' + repr(seen))
    try:
        chunk = os.read(terminal, 4096)
    except OSError:
        return False
    seen += chunk
    return chunk != b''
for question, answer in zip(steps[::2], steps[1::2]):
    place = len(seen) if question in seen.decode() and question != steps[0] else 0
    while question.encode() not in seen[place:]:
        if not read():
            sys.exit('it ended before ' + question + ': ' + repr(seen))
    if answer == 'SIGTERM':
        os.killpg(os.tcgetpgrp(terminal), 15)
        continue
    os.write(terminal, answer.encode('utf-8').decode('unicode_escape').encode('latin-1'))
while read():
    pass
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.stdout.write(seen.decode() + '<' + str(code) + '>')
`;

async function onTerminal(tool: CertTool, shell: string, ...steps: string[]): Promise<string> {
  const { code, stdout, text } = await run('python3', ['-c', ON_A_TERMINAL, shell, ...steps], {
    cwd: tool.folder,
  });
  assert.equal(code, 0, text);
  return stdout.toString().replaceAll('\r\n', '\n');
}

const QUESTION = 'Enter the certificate database password:';

test('what is typed is not shown, and can be mended before Enter', async () => {
  using tool = await toolWithDatabase();
  const seen = await onTerminal(
    tool,
    `${tool.command} list-certs`,
    QUESTION,
    String.raw`nonsense\x15${PASSWORD}xy\x7f\x7f\r`,
  );
  assert.ok(seen.startsWith(`${QUESTION}\nAlias `), seen);
  assert.match(seen, /1 certificate found\n<0>$/);
  assert.doesNotMatch(seen, /password22|nonsense/);
});

test('the terminal is asked where standard error leads elsewhere', async () => {
  using tool = await toolWithDatabase();
  const seen = await onTerminal(
    tool,
    `${tool.command} list-certs >out 2>err`,
    QUESTION,
    String.raw`${PASSWORD}\r`,
  );
  assert.equal(seen, `${QUESTION}\n<0>`);
});

for (const [what, key, code, said] of [
  ['Ctrl-C', String.raw`abc\x03`, 130, ''],
  ['Ctrl-D', String.raw`\x04`, 1, 'there was no answer'],
  ['SIGTERM', 'SIGTERM', 143, ''],
] as const) {
  test(`${what} ends the prompt with ${code}, and the terminal echoes again`, async () => {
    using tool = await toolWithDatabase();
    const shell = `trap : TERM; ${tool.command} list-certs; echo "<$?>"; stty -a | grep -o -w -e '-\\?echo' -e '-\\?icanon'`;
    const seen = await onTerminal(tool, shell, QUESTION, key);
    assert.ok(seen.startsWith(QUESTION), seen);
    assert.ok(seen.includes(said), seen);
    assert.doesNotMatch(seen, /abc/);
    assert.ok(seen.includes(`<${code}>\n`), seen);
    assert.match(seen, /\nicanon\necho\n|\necho\nicanon\n/);
  });
}

test('PKCS#12 is not written to a terminal, and no password is asked for it', async () => {
  using tool = await toolWithDatabase();
  const seen = await onTerminal(tool, `${tool.command} export-cert Server-Cert`);
  assert.match(seen, /^msgcert export-cert: the result is binary, .*: -o OUTPUT_FILE keeps it\n<1>$/);
  const request = await onTerminal(tool, `${tool.command} request-cert --name x`);
  assert.match(request, /-F ascii makes it text\n<1>$/);
});
