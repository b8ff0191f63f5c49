// What the service manager says in the environment: listening sockets it hands over, and where it wants to hear that we
// are ready (sd_listen_fds(3), sd_notify(3)). Read once and removed, so that no child takes it for its own.

/** A file descriptor that was handed over, and its name there ("unknown" where it has none). */
export interface GivenDescriptor {
  readonly fd: number;
  readonly name: string;
}

export interface ServiceManager {
  readonly descriptors: readonly GivenDescriptor[];
  /** A datagram socket's path, or @name; null: nobody wants to hear. */
  readonly notifySocket: string | null;
  /** We are the very process that the manager started, and that it takes for the service. */
  readonly isMainProcess: boolean;
}

/** The first one that is handed over. */
const FIRST_FD = 3;
const DESCRIPTORS_MAX = 1024;

export function takeServiceManager(
  environment: Record<string, string | undefined> = process.env,
  pid = process.pid,
): ServiceManager {
  const take = (name: string): string => {
    const value = environment[name] ?? '';
    delete environment[name];
    return value;
  };
  const listenPid = take('LISTEN_PID');
  const count = Number(take('LISTEN_FDS'));
  const names = take('LISTEN_FDNAMES').split(':');
  take('LISTEN_PIDFDID');
  const notifySocket = take('NOTIFY_SOCKET');
  const execPid = take('SYSTEMD_EXEC_PID');
  // For another process, such as the shell that started us, they are not ours to take.
  const isOurs = listenPid === String(pid) && Number.isInteger(count) && count > 0;
  const descriptors = Array.from({ length: isOurs ? Math.min(count, DESCRIPTORS_MAX) : 0 }, (_, place) => ({
    fd: FIRST_FD + place,
    name: names[place] || 'unknown',
  }));
  return {
    descriptors,
    notifySocket: notifySocket === '' ? null : notifySocket,
    isMainProcess: execPid === String(pid),
  };
}

/**
 * Sets a variable that native code of this process reads (OpenSSL, PKCS#11), and that children inherit. Paths only: other
 * processes of the same user can see it.
 */
export function setVariable(name: string, value: string): void {
  process.env[name] = value;
}
