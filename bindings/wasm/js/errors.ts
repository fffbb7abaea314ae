// One error class with a stable code, and its form in messages between threads.

/** The core's codes, then those of this package. */
export type ErrorCode =
  | 'invalid_argument' | 'io' | 'gguf' | 'unsupported' | 'model' | 'tokenizer' | 'template' | 'device' | 'device_lost'
  | 'out_of_memory' | 'context_full' | 'cancelled' | 'busy' | 'internal' | 'disposed';

const INTERNAL = -13;
const STATUS: Partial<Record<ErrorCode, number>> = { invalid_argument: -1, io: -2, device: -8, internal: INTERNAL };

/** Why an operation failed. A stop through an `AbortSignal` is not this but the signal's reason, an `AbortError`. */
export class GabionError extends Error {
  override readonly name = 'GabionError';
  readonly code: ErrorCode;
  /** The same number as in the C interface; 0 where only this package has the error. */
  readonly status: number;

  constructor(code: ErrorCode, message: string, status = STATUS[code] ?? 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** A `GabionError` as data. */
export interface WireError {
  code: ErrorCode;
  message: string;
  status: number;
}

/** What was thrown, as data. The core throws errors with `code` and `status`; anything else is a defect. */
export function toWire(thrown: unknown): WireError {
  const error = thrown as Partial<WireError> | undefined;
  if (typeof error?.code === 'string' && typeof error.status === 'number') {
    return { code: error.code, message: String(error.message), status: error.status };
  }
  return { code: 'internal', message: String(thrown), status: INTERNAL };
}

export function fromWire({ code, message, status }: WireError): GabionError {
  return new GabionError(code, message, status);
}

export function invalid(message: string): GabionError {
  return new GabionError('invalid_argument', message);
}
