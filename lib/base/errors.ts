/**
 * The ways a run can fail, and the exit code that each of them has.
 *
 * An error says what was being done, to what (quoted), and why it failed. It is
 * thrown by the module that knows, and printed once, by `main.ts`.
 */

/** The exit codes of section "Exit codes" in the README; scripts rely on them. */
export const EXIT = {
  ok: 0,
  broken: 1,
  usage: 2,
  connect: 3,
  listen: 4,
  timeLimit: 5,
  damaged: 6,
  refused: 7,
  localIo: 8,
  readerGone: 141,
} as const;

/** A failure with an exit code of its own. Subclasses are what callers catch. */
export class SockpipeError extends Error {
  /** The exit code of a run that ends with this error. */
  readonly exitCode: number;

  /**
   * @param message One sentence: the action, the quoted value, a colon, the reason; no period.
   */
  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.exitCode = exitCode;
  }
}

/** The connection broke before everything was delivered. */
export class BrokenError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.broken, message, options);
  }
}

/**
 * The command line makes no sense, or this system cannot do what it asks; nothing
 * was connected.
 */
export class UsageError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.usage, message, options);
  }
}

/** No connection could be made. */
export class ConnectError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.connect, message, options);
  }
}

/** No listening socket could be opened, or it accepts no more. */
export class ListenError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.listen, message, options);
  }
}

/** A time limit that the user set, or a default one, was reached. */
export class TimeLimitError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.timeLimit, message, options);
  }
}

/** The stream is incomplete or damaged, or the peer does not speak the protocol. */
export class DamagedError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.damaged, message, options);
  }
}

/** Refused for security: TLS, secret, certificate, pin, token, access list. */
export class RefusedError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.refused, message, options);
  }
}

/** The connection broke during its TLS handshake, before the peer was verified. */
export class HandshakeCutError extends RefusedError {}

/** The TLS handshake took longer than its limit. */
export class HandshakeTimeoutError extends TimeLimitError {}

/** stdin, stdout or a local file failed. */
export class LocalIoError extends SockpipeError {
  constructor(message: string, options?: ErrorOptions) {
    super(EXIT.localIo, message, options);
  }
}

/** The record of `--dump` cannot be written, which ends the run. */
export class RecordError extends LocalIoError {}

/** The reader of stdout went away (`| head`). Nothing is printed for it. */
export class ReaderGoneError extends SockpipeError {
  constructor(options?: ErrorOptions) {
    super(
      EXIT.readerGone,
      "Cannot write to stdout: its reader went away",
      options,
    );
  }
}

/** The exit codes of signals: 128 + their number, as shells report them. */
export const SIGNAL_EXIT = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A signal ended the run. */
export class SignalError extends SockpipeError {
  readonly signal: keyof typeof SIGNAL_EXIT;

  constructor(signal: keyof typeof SIGNAL_EXIT) {
    super(SIGNAL_EXIT[signal], `Ended by ${signal}`);
    this.signal = signal;
  }
}

/** Reasons in the words of Unix, for Windows, which writes whole sentences. */
const REASONS_ON_WINDOWS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "address already in use",
  ECONNABORTED: "software caused connection abort",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EEXIST: "file exists",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on device",
  EPERM: "operation not permitted",
};

/**
 * Writes the operating system's reason in a few plain words, the same on every
 * system for what happens often: "connection refused", "no space left on device".
 */
export function reasonOf(error: unknown, os = Deno.build.os): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  // Of a connection, when the other machine is gone: asked again and again.
  if (code === "ETIMEDOUT") return "the peer does not answer";
  const known = os === "windows" ? REASONS_ON_WINDOWS[code ?? ""] : undefined;
  if (known !== undefined) return known;
  if (isSpecialFile(error)) return SPECIAL_FILE_REASON;
  const text = error.message.replace(/ \(os error \d+\).*$/s, "");
  const reason = text.replace(/(?<!\.)\.$/, "");
  return reason.charAt(0).toLowerCase() + reason.slice(1);
}

const SPECIAL_FILE_REASON = "Deno keeps it from programs, as all special files";

/**
 * Whether the runtime has refused a file of /dev, /proc or the like, for which it
 * wants every permission there is. Its own advice is for who runs or compiles it.
 */
export function isSpecialFile(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable &&
    /^requires all access/i.test(error.message);
}

/**
 * The errors of Windows for a closed pipe or socket that the runtime has no class
 * for: ERROR_BROKEN_PIPE, ERROR_NO_DATA, ERROR_PIPE_NOT_CONNECTED and WSAESHUTDOWN.
 */
const BROKEN_PIPE_ON_WINDOWS = /\(os error (?:109|232|233|10058)\)/;

/** Whether nothing can be written any more: EPIPE, or what stands for it. */
export function isBrokenPipe(error: unknown, os = Deno.build.os): boolean {
  if (error instanceof Deno.errors.BrokenPipe) return true;
  if (!(error instanceof Error)) return false;
  return "code" in error && error.code === "EPIPE" ||
    os === "windows" && BROKEN_PIPE_ON_WINDOWS.test(error.message);
}

/**
 * Finds the system's name of an error, such as `ECONNREFUSED`; `undefined` when it
 * has none.
 */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
