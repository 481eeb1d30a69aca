/**
 * Processes of a test: shell pipelines and other programs. Each has a deadline, and
 * is killed, with all that it started, when it is disposed of.
 */

import { programCommand } from "../../scripts/program.ts";
import { DEADLINE_MS, within } from "./deadlines.ts";
import { Output } from "./output.ts";

const encoder = new TextEncoder();

/** What every process of a test finds in its environment: bin/sockpipe. */
const PROGRAM_ENV = {
  PATH: `${import.meta.dirname}/../bin:${Deno.env.get("PATH")}`,
  SOCKPIPE_COMMAND: (await programCommand()).map(quoted).join(" "),
};

/** A word as the shell reads it back. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** How a process is started. */
export interface StartOptions {
  /**
   * Where stdin comes from: bytes or text, then its end; `"piped"`, to be
   * written with {@linkcode Running.feed}; or nothing, at its end from the start.
   */
  stdin?: "piped" | "null" | string | Uint8Array;
  /** Redirections as the shell writes them: `<&- 2>/dev/full`. */
  redirect?: string;
  /** Whether stdout is not read before `stdout.release()`. */
  heldStdout?: boolean;
  /** Words that start the program instead of starting it directly. */
  under?: readonly string[];
}

/** A process of the test, with everything it says. Disposing kills it. */
export class Running implements AsyncDisposable {
  readonly pid: number;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #words: readonly string[];

  /** Use {@linkcode sockpipe}, {@linkcode shell} or {@linkcode run}. */
  constructor(words: readonly string[], options: StartOptions = {}) {
    const { stdin = "null", redirect, heldStdout, under = [] } = options;
    this.#words = words;
    const [program, ...args] = redirect === undefined ? [...under, ...words] : [
      ...under,
      "bash",
      "-c",
      `exec "$0" "$@" ${redirect}`,
      ...words,
    ];
    if (program === undefined) throw new Error("There is nothing to run");
    this.#child = new Deno.Command(program, {
      args,
      env: PROGRAM_ENV,
      // A session of its own: what the process starts can be killed with it.
      detached: true,
      stdin: stdin === "null" ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.stdout = new Output("stdout", this.#child.stdout, {
      held: heldStdout ?? false,
    });
    this.stderr = new Output("stderr", this.#child.stderr);
    if (stdin !== "null") this.#stdin = this.#child.stdin.getWriter();
    this.#stdin?.closed.catch(() => {});
    if (stdin !== "null" && stdin !== "piped") this.#feedAll(stdin);
  }

  async #feedAll(data: string | Uint8Array): Promise<void> {
    try {
      await this.feed(data);
      await this.endStdin();
    } catch {
      // The process has gone before it read everything; its exit code tells.
    }
  }

  /** Writes to stdin; resolves when the pipe has taken all of it. */
  async feed(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let start = 0; start < bytes.length; start += 65536) {
      await this.#stdin?.write(bytes.subarray(start, start + 65536));
    }
  }

  /** Ends stdin. */
  async endStdin(): Promise<void> {
    await this.#stdin?.close();
  }

  /** Waits for the address that a listener announces. */
  async listening(): Promise<Announced> {
    const [, address = ""] = await this.stderr.match(
      /^sockpipe: listening on (\S+)/m,
    );
    return { address, port: Number(/:(\d+)$/.exec(address)?.[1]) };
  }

  /** Waits for text on stderr. */
  said(pattern: RegExp): Promise<RegExpExecArray> {
    return this.stderr.match(pattern);
  }

  /**
   * Waits for the end of the process and of all that it wrote.
   *
   * @returns The exit code; 128 + the number of a signal that killed it.
   */
  async code(ms: number = DEADLINE_MS): Promise<number> {
    return (await this.#status(ms)).code;
  }

  /** Waits for the end; the signal that killed the process, if one did. */
  async signal(ms: number = DEADLINE_MS): Promise<Deno.Signal | null> {
    return (await this.#status(ms)).signal;
  }

  async #status(ms: number): Promise<Deno.CommandStatus> {
    const ended = Promise.all([
      this.#child.status,
      this.stdout.ended,
      this.stderr.ended,
    ]);
    const [status] = await within(
      ended,
      () =>
        `the end of ${this.#words.join(" ")}; stderr: ${
          JSON.stringify(this.stderr.text())
        }`,
      ms,
    );
    return status;
  }

  /** Waits for the end; everything at once for comparing. */
  async result(): Promise<{ code: number; stdout: string; stderr: string }> {
    const code = await this.code();
    return { code, stdout: this.stdout.text(), stderr: this.stderr.text() };
  }

  /** How many descriptors the process has open; on Linux. */
  descriptors(): number {
    return [...Deno.readDirSync(`/proc/${this.pid}/fd`)].length;
  }

  /** Sends a signal to the process alone. */
  kill(signal: Deno.Signal): void {
    Deno.kill(this.pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#killAll();
    this.stdout.release();
    await this.#child.status;
    await this.#stdin?.abort().catch(() => {});
    await within(
      Promise.all([this.stdout.ended, this.stderr.ended]),
      () => `all that ${this.#words.join(" ")} has left behind to end`,
    );
  }

  /** Also what a shell has left behind, as long as any of it lives. */
  #killAll(): void {
    try {
      Deno.kill(-this.pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** What a listener says of itself. */
export interface Announced {
  /** As it would be given to `--connect`. */
  readonly address: string;
  /** `NaN` for a unix socket. */
  readonly port: number;
}

/**
 * Starts a shell pipeline, in which `sockpipe` is the program.
 *
 * @param args What the script sees as `$1`, `$2`, …
 */
export function shell(
  script: string,
  args: readonly (string | number)[] = [],
  options?: StartOptions,
): Running {
  return new Running(
    ["bash", "-c", script, "bash", ...args.map(String)],
    options,
  );
}

/** Starts any other program: a peer. */
export function run(words: readonly string[], options?: StartOptions): Running {
  return new Running(words, options);
}

/** Starts a few lines of JavaScript in a process of their own. */
export function evaluate(code: string, args: readonly number[] = []): Running {
  const words = ["run", "-A", "--no-config", "--ext=js", "-"];
  return run([Deno.execPath(), ...words, ...args.map(String)], { stdin: code });
}
