// The thread behind sqlite.ts: has the file open for reading, answers one question after another. Promises: statements
// stay prepared; a file that has been replaced or written over since the last question is opened anew; a lock of somebody
// else is waited for as long as it is told, and no longer.

import { statSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

import type { SqlAnswer, SqlQuestion } from './source.ts';

export interface SqliteFile {
  readonly file: string;
  readonly busyMs: number;
}

export interface SqliteQuestion extends SqlQuestion {
  readonly id: number;
}

export type SqliteAnswer = { readonly id: number } & (
  { readonly answer: SqlAnswer } | { readonly failure: string; readonly isQuestion: boolean }
);

interface Open {
  readonly stamp: string;
  readonly database: DatabaseSync;
  readonly statements: Map<string, StatementSync>;
}

const ROWS_MAX = 2;

const { file, busyMs } = workerData as SqliteFile;
let open: Open | null = null;

parentPort?.on('message', ({ id, text, values }: SqliteQuestion) => {
  let said: SqliteAnswer;
  try {
    said = { id, answer: ask({ text, values }) };
  } catch (error) {
    close();
    const words = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    // SQLITE_CANTOPEN: most often the worker's user may not read it, or not write to the folder of a file in WAL mode.
    const failure =
      codeOf(error) === 14 ? `${words} (as user id ${process.geteuid?.() ?? 'unknown'})` : words;
    // SQLITE_ERROR: the query itself is wrong.
    const isQuestion = codeOf(error) === 1;
    said = { id, failure, isQuestion };
  }
  parentPort?.postMessage(said);
});

/** That of SQLite; null: something else failed. */
function codeOf(error: unknown): unknown {
  return error instanceof Error && 'errcode' in error ? error.errcode : null;
}

function ask({ text, values }: SqlQuestion): SqlAnswer {
  const { dev, ino, size, mtimeNs } = statSync(file, { bigint: true });
  const stamp = `${dev} ${ino} ${size} ${mtimeNs}`;
  if (open !== null && open.stamp !== stamp) close();
  open ??= {
    stamp,
    database: new DatabaseSync(file, { readOnly: true, timeout: busyMs }),
    statements: new Map(),
  };
  const statement = open.statements.get(text) ?? prepare(open, text);
  const rows: (readonly unknown[])[] = [];
  for (const row of statement.iterate(...values)) {
    rows.push(row as unknown as readonly unknown[]);
    if (rows.length === ROWS_MAX) break;
  }
  return { columns: statement.columns().map(({ name }) => name), rows };
}

function prepare({ database, statements }: Open, text: string): StatementSync {
  const statement = database.prepare(text);
  statement.setReturnArrays(true);
  statement.setReadBigInts(true);
  statements.set(text, statement);
  return statement;
}

function close(): void {
  open?.database.close();
  open = null;
}
