/** The signals that were ignored when the process was started: by nohup, or for a job in the background. */

/** Numbers that Linux and macOS share (signal(7)). */
const NUMBERS: Partial<Record<Deno.Signal, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGTERM: 15,
};

/** SIG_IGN of `<signal.h>`. */
const IGNORED = 1n;

/**
 * Whether a signal is ignored as long as nobody listens to it. Asked before, it
 * tells what whoever started the process wants.
 *
 * @returns False for other signals than SIGHUP, SIGINT and SIGTERM, and where the
 * system does not tell.
 */
export function isIgnored(signal: Deno.Signal): boolean {
  const number = NUMBERS[signal];
  if (number === undefined) return false;
  try {
    switch (Deno.build.os) {
      case "linux":
        return isIgnoredOnLinux(number);
      case "darwin":
        return isIgnoredOnMacOS(number);
      default:
        return false;
    }
  } catch {
    return false;
  }
}

function isIgnoredOnLinux(number: number): boolean {
  const status = Deno.readTextFileSync("/proc/self/status");
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return (BigInt(`0x${mask}`) >> BigInt(number - 1) & 1n) === 1n;
}

/** Asks sigaction(2), in whose answer the handler comes first. */
function isIgnoredOnMacOS(number: number): boolean {
  using libc = Deno.dlopen("libSystem.dylib", {
    sigaction: { parameters: ["i32", "pointer", "buffer"], result: "i32" },
  });
  const action = new BigUint64Array(4);
  return libc.symbols.sigaction(number, null, action) === 0 &&
    action[0] === IGNORED;
}
