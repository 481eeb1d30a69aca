/**
 * Processes of the benchmark: started by a shell in a session of their own, so
 * that all of them can be killed at once; and what the kernel tells of them.
 */

/** The pause between looks for something that has no event, in ms. */
const LOOK_MS = 5;

/** Rejects when a promise takes too long. The promise itself goes on. */
export async function within<T>(
  promise: Promise<T>,
  ms: number,
  what: string,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`${what} took more than ${ms / 1000} s`)),
    ms,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

const running = new Set<Job>();

/** Kills everything that any job has started. */
export function killJobs(): void {
  for (const job of running) job.kill();
}

/** A shell script that runs. Disposing kills everything that it started. */
export class Job implements AsyncDisposable {
  /** The exit code of the script, in which any failure of a pipeline counts. */
  readonly ended: Promise<number>;
  readonly pid: number;
  #hasEnded = false;

  /**
   * @param script For bash; its streams are /dev/null.
   * @param folder Where it runs.
   */
  constructor(script: string, folder: string) {
    const child = new Deno.Command("setsid", {
      args: ["bash", "-c", `set -o pipefail\n${script}`],
      cwd: folder,
      env: { LC_ALL: "C" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.pid = child.pid;
    running.add(this);
    this.ended = child.status.then(({ code }) => {
      this.#hasEnded = true;
      return code;
    });
  }

  /** Whether the script has ended; what it left in the background may run on. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Kills the script and everything that it started. */
  kill(): void {
    try {
      Deno.kill(-this.pid, "SIGKILL");
    } catch (error) {
      // Nothing is left of it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended;
    running.delete(this);
  }

  /** The memory of all its processes, in kB (proportional set size). */
  async memory(): Promise<number> {
    let sum = 0;
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const stat = await Deno.readTextFile(`/proc/${name}/stat`);
        // After the name in parentheses: state, parent, group, session.
        const session = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3];
        if (Number(session) !== this.pid) continue;
        const rollup = await Deno.readTextFile(`/proc/${name}/smaps_rollup`);
        sum += Number(/^Pss: +(\d+)/m.exec(rollup)?.[1] ?? 0);
      } catch {
        // It ended in this moment, or is not ours to look into.
      }
    }
    return sum;
  }
}

/** A port that nobody has; the system does not give it to another one soon. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Waits until somebody listens on a port. */
export async function listening(
  port: number,
  job: Job,
  ms: number,
): Promise<void> {
  await until(
    async () => (await sockets(port)).some(({ state }) => state === "0A"),
    job,
    ms,
    "to listen",
  );
}

/** Waits until that many connections of a port have been accepted. */
export async function accepted(
  port: number,
  count: number,
  job: Job,
  ms: number,
): Promise<void> {
  await until(
    async () => {
      const all = await sockets(port);
      // A connection that waits to be accepted has no inode yet.
      return all.filter(({ state, inode }) => state === "01" && inode !== "0")
        .length >= count;
    },
    job,
    ms,
    `to accept ${count} connections`,
  );
}

async function until(
  isSo: () => Promise<boolean>,
  job: Job,
  ms: number,
  what: string,
): Promise<void> {
  const end = performance.now() + ms;
  while (!await isSo()) {
    if (job.hasEnded) throw new Error(`It ended instead ${what}`);
    if (performance.now() > end) {
      throw new Error(`It needed more than ${ms / 1000} s ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** The TCP sockets with a local port, as proc(5) describes them. */
async function sockets(
  port: number,
): Promise<{ state: string; inode: string }[]> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const found: { state: string; inode: string }[] = [];
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const text = await Deno.readTextFile(table).catch(() => "");
    for (const line of text.split("\n")) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (local?.endsWith(suffix) && state && inode) {
        found.push({ state, inode });
      }
    }
  }
  return found;
}

/** Whether a program is there. */
export async function isInstalled(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("bash", {
    args: ["-c", 'type -P "$0"', program],
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}

/** Runs a program and reads its stdout and stderr; nothing when there is no such program. */
export async function saidBy(words: readonly string[]): Promise<string> {
  const [program = "", ...args] = words;
  try {
    const { stdout, stderr } = await new Deno.Command(program, {
      args,
      stdin: "null",
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return decoder.decode(stdout) + decoder.decode(stderr);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
