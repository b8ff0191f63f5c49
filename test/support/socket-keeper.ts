// A stand-in for systemd with a socket unit: binds and keeps listening sockets, and starts a program with them from
// descriptor 3 on (sd_listen_fds(3)). restart() ends the program (SIGTERM), waits for it and starts it anew, as `systemctl
// restart` does, while the sockets stay. In Python, because a Node program cannot give a child such descriptors and its
// own process number at once.

import { isSupervisor } from './front.ts';
import { startProcess, until, type ServerProcess } from './program.ts';

const KEEPER = `
import fcntl, json, os, signal, socket, sys
sockets = []
for kind, where, name in json.loads(sys.argv[1]):
    family = socket.AF_UNIX if kind == 'unix' else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(where if kind == 'unix' else (where[0], where[1]))
    s.listen(4096)
    sockets.append((fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100), name))
    s.close()

def start():
    pid = os.fork()
    if pid: return pid
    for place, (fd, _) in enumerate(sockets):
        os.dup2(fd, 3 + place)
        os.set_inheritable(3 + place, True)
    os.closerange(3 + len(sockets), 300)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)),
                      LISTEN_FDNAMES=':'.join(name for _, name in sockets))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    os.execv(sys.argv[2], sys.argv[2:])

signals = [signal.SIGHUP, signal.SIGTERM]
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
child = start()
while True:
    got = signal.sigwait(signals)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print('ended with', code, flush=True)
    if got == signal.SIGTERM: sys.exit(0)
    child = start()
`;

export type KeptSocket =
  | readonly [kind: 'tcp', where: readonly [host: string, port: number], name: string]
  | readonly [kind: 'unix', path: string, name: string];

export interface SocketKeeper {
  output(): string;
  /** How often the program has said that it is ready. */
  readyCount(): number;
  /** Ends the program and starts it anew; resolves when the new one is ready. */
  restart(): Promise<void>;
  /** The exit codes of the program so far. */
  codes(): number[];
  stop(): Promise<void>;
}

const LIMIT_MS = 40_000;

export async function keepSockets(
  sockets: readonly KeptSocket[],
  program: readonly string[],
): Promise<SocketKeeper> {
  const keeper: ServerProcess = startProcess('python3', ['-c', KEEPER, JSON.stringify(sockets), ...program]);
  const readyCount = (): number => keeper.output().match(/"event":"ready"/g)?.length ?? 0;
  const ready = (count: number): Promise<unknown> =>
    until(
      () => readyCount() >= count || keeper.exited(),
      LIMIT_MS,
      () => keeper.output().slice(-2000),
    );
  await ready(1);
  if (keeper.exited()) throw new Error(`the socket keeper did not start: ${keeper.output()}`);
  return {
    output: () => keeper.output(),
    readyCount,
    async restart() {
      const next = readyCount() + 1;
      keeper.child.kill('SIGHUP');
      await ready(next);
    },
    codes: () => [...keeper.output().matchAll(/^ended with (-?\d+)$/gm)].map(([, code]) => Number(code)),
    async stop() {
      await keeper.stop('SIGTERM', LIMIT_MS);
      // What took over in a restart is nobody's child.
      for (const [, pid] of keeper.output().matchAll(/"successor":(\d+)/g))
        if (isSupervisor(Number(pid))) process.kill(Number(pid), 'SIGKILL');
    },
  };
}
