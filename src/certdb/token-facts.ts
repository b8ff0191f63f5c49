// What modules and tokens say of themselves and why they refuse, in words. Pure.

/** What may be told of a token. */
export interface TokenFacts {
  readonly slot: number;
  readonly slotDescription: string;
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly isInitialized: boolean;
  readonly needsLogin: boolean;
  readonly isWriteProtected: boolean;
  readonly pin: 'fine' | 'not set' | 'count low' | 'final try' | 'locked';
}

const FLAGS = {
  writeProtected: 0x2,
  loginRequired: 0x4,
  pinInitialized: 0x8,
  initialized: 0x400,
  countLow: 0x10000,
  finalTry: 0x20000,
  locked: 0x40000,
};

export const WORDS: Readonly<Record<string, string>> = {
  CKR_DEVICE_ERROR: 'the device reports a failure',
  CKR_DEVICE_MEMORY: 'the token is full',
  CKR_DEVICE_REMOVED: 'the token was removed',
  CKR_TOKEN_NOT_PRESENT: 'the token is absent',
  CKR_TOKEN_NOT_RECOGNIZED: 'the token is of a kind that the module does not know',
  CKR_TOKEN_WRITE_PROTECTED: 'the token is write-protected',
  CKR_SESSION_READ_ONLY: 'the token can only be read',
  CKR_SESSION_COUNT: 'the token is busy, all its sessions are in use: try again',
  CKR_CANT_LOCK: 'the module cannot be used by programs with threads',
  CKR_MECHANISM_INVALID: 'the token cannot compute with such keys',
  CKR_KEY_SIZE_RANGE: 'the token has no keys of this size',
  CKR_USER_PIN_NOT_INITIALIZED: 'the token has no user PIN yet',
  CKR_PIN_LOCKED: 'the PIN is locked, the security officer of the token can set a new one',
  CKR_PIN_EXPIRED: 'the PIN has expired',
  CKR_GENERAL_ERROR: 'the token is absent or out of order',
};
export const WRONG_PIN: readonly string[] = ['CKR_PIN_INCORRECT', 'CKR_PIN_INVALID', 'CKR_PIN_LEN_RANGE'];

/** What C_GetTokenInfo and C_GetSlotInfo give. */
interface Given {
  readonly slotDescription: string;
  readonly label: string;
  readonly manufacturerID: string;
  readonly model: string;
  readonly serialNumber: string;
  readonly flags: number;
}

/** `slot` is the handle, a number of the machine's own length. */
export function factsOf(slot: Buffer, given: Given): TokenFacts {
  const { slotDescription, label, manufacturerID, model, serialNumber, flags } = given;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const needsLogin = has(FLAGS.loginRequired);
  return {
    slot: slot.length >= 8 ? Number(slot.readBigUInt64LE()) : slot.readUInt32LE(),
    slotDescription: plain(slotDescription),
    label: plain(label),
    manufacturer: plain(manufacturerID),
    model: plain(model),
    serial: plain(serialNumber),
    isInitialized: has(FLAGS.initialized),
    needsLogin,
    isWriteProtected: has(FLAGS.writeProtected),
    pin: has(FLAGS.locked)
      ? 'locked'
      : has(FLAGS.finalTry)
        ? 'final try'
        : has(FLAGS.countLow)
          ? 'count low'
          : needsLogin && !has(FLAGS.pinInitialized)
            ? 'not set'
            : 'fine',
  };
}

/** Texts of PKCS#11 are padded with blanks. */
export function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f]/g, '').trim();
}

export function resultOf(error: unknown): string {
  return error instanceof Error
    ? (/CKR_[A-Z0-9_]+/.exec(error.message)?.[0] ?? error.message)
    : String(error);
}
