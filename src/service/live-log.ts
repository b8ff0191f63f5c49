// A log whose level and format follow the settings through reloads, while everybody keeps the one object.

import { createLog } from '../log.ts';
import type { Log, LogOptions } from '../log.ts';

export interface LiveLog extends Log {
  change(options: Pick<LogOptions, 'level' | 'format'>): void;
}

export function createLiveLog(options: LogOptions): LiveLog {
  let current = createLog(options);
  return {
    at: (level, event, fields) => current.at(level, event, fields),
    debug: (event, fields) => current.debug(event, fields),
    info: (event, fields) => current.info(event, fields),
    warn: (event, fields) => current.warn(event, fields),
    error: (event, fields) => current.error(event, fields),
    change(next) {
      current = createLog({ ...options, level: next.level, format: next.format });
    },
  };
}
