// The one error class for what clients see, by the rows of error-table.ts, and the one for administrators.
// Code matches on `code`, never on message text. The log gets the context (file, key, host) and the cause.

import { type ErrorRow, ERRORS } from './error-table.ts';

export { type ErrorRow, ERRORS };

export type ErrorCode = keyof typeof ERRORS;

/** The store is away; other failures of backends are for the operator to mend. */
export const STORE_AWAY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BACKEND_UNREACHABLE',
  'BACKEND_TIMEOUT',
  'BACKEND_CLOSED',
  'BACKEND_REFUSED',
]);

/** What a log line may carry besides the code. Never a secret. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

/** A failure of the table. `message` is for the log: the table's sentence, then the context. */
export class GateError extends Error {
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, context: ErrorContext = {}, cause?: unknown) {
    super(describe(code, context), cause === undefined ? undefined : { cause });
    this.name = 'GateError';
    this.code = code;
    this.context = context;
  }

  get row(): ErrorRow {
    return ERRORS[this.code];
  }
}

/** Any failure as a row of the table; what is not ours is a defect. */
export function asGateError(error: unknown): GateError {
  return error instanceof GateError ? error : new GateError('INTERNAL', {}, error);
}

function describe(code: ErrorCode, context: ErrorContext): string {
  const facts = Object.entries(context).filter(([, value]) => value !== undefined);
  const sentence = ERRORS[code].doc;
  return facts.length === 0 ? sentence : `${sentence} (${facts.map(([k, v]) => `${k}: ${v}`).join(', ')})`;
}

/** Wrong settings, wrong usage, a file that is not as it should be: for the administrator, never for a client. */
export class SettingsError extends Error {
  /** One mistake a line, each with file, line and key where known. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(mistakes.join('\n'));
    this.name = 'SettingsError';
    this.mistakes = mistakes;
  }
}
