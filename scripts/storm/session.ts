/**
 * One session of a storm. What must hold, whatever happens: an exit code of 0 means
 * that both streams have arrived whole; stdout never has a byte that is not the
 * peer's; a session whose two sides live ends with 0 on both; everything ends in
 * time; nobody keeps descriptors.
 */

import { delay } from "@std/async/delay";
import { OPTIONS } from "../../lib/cli/option_table.ts";
import {
  type KeyFolder,
  keyOptions,
  keys,
} from "../../tests/helpers/certificates.ts";
import { Folder } from "../../tests/helpers/folder.ts";
import type { Running } from "../../tests/helpers/process.ts";
import { sockpipe } from "../../tests/helpers/program.ts";
import { FailingLine, type Place } from "../../tests/helpers/proxy.ts";
import { seeded } from "../../tests/helpers/seeded.ts";
import {
  describe,
  fates,
  type Plan,
  planSession,
  type SideName,
  type Transport,
  TRANSPORTS,
} from "./plan.ts";

/** The longest that a session may take, in ms. */
const SESSION_MS = 120_000;
/** For sessions of which one side is killed: how long the other waits for it. */
const RESUME_MS = 4000;
/** The allowance on top of that for a busy machine, in ms. */
const LATE_MS = 6000;
/** As many more descriptors as at the first look are no leak. */
const SPARE_DESCRIPTORS = 10;
/** The events of one session. */
export interface SessionReport {
  readonly seed: number;
  /** Its parameters, in words. */
  readonly plan: string;
  readonly cuts: number;
  readonly connections: number;
  readonly stops: number;
  readonly killed: boolean;
  readonly bytes: number;
  /** The faults: things that must not happen. */
  readonly faults: readonly string[];
}

/** Keys and secrets, made once for all sessions. */
export class Shelter implements Disposable {
  readonly keys: KeyFolder;
  readonly transports: readonly Transport[];

  /** @param wanted All that the program has, when absent. */
  static async make(wanted?: readonly Transport[]): Promise<Shelter> {
    const folder = await keys(["server"]);
    const hasSecrets = OPTIONS.some(({ name }) =>
      name === "secret-file" as string
    );
    if (hasSecrets) {
      await using made = sockpipe(["--new-secret", `${folder.path}/secret`]);
      if (await made.code() !== 0) throw new Error(made.stderr.text());
    }
    const all = hasSecrets
      ? TRANSPORTS
      : TRANSPORTS.filter((transport) => transport !== "secret");
    return new Shelter(folder, wanted ?? all);
  }

  private constructor(folder: KeyFolder, transports: readonly Transport[]) {
    this.keys = folder;
    this.transports = transports;
  }

  [Symbol.dispose](): void {
    this.keys[Symbol.dispose]();
  }

  /** The options of both sides. */
  options(transport: Transport): { listen: string[]; connect: string[] } {
    const { path } = this.keys;
    switch (transport) {
      case "tcp":
      case "unix":
        return { listen: [], connect: [] };
      case "tls":
        return {
          listen: keyOptions(this.keys),
          connect: ["--tls", `--tls-ca=${path}/server.crt`],
        };
      case "secret": {
        const both = [`--secret-file=${path}/secret`];
        return { listen: both, connect: both };
      }
    }
  }
}

/** Plays the session of a seed, to its end. */
export async function playSession(
  seed: number,
  shelter: Shelter,
): Promise<SessionReport> {
  const random = seeded(seed);
  const plan = planSession(random, shelter.transports);
  using folder = new Folder();
  await using listen = start(
    "listen",
    plan.transport === "unix" ? `unix:${folder.path}/target` : "0",
    plan,
    shelter,
  );
  const { port } = await listen.listening();
  const [target, place]: [Place, Place] = plan.transport === "unix"
    ? [`${folder.path}/target`, `${folder.path}/line`]
    : [port, 0];
  await using line = new FailingLine(target, fates(plan, random), place);
  const address = plan.transport === "unix"
    ? `unix:${folder.path}/line`
    : `localhost:${line.port}`;
  await using connect = start("connect", address, plan, shelter);
  const sides = { listen, connect };
  const stops = stopNowAndThen(plan, sides);
  const killed = killOne(plan, sides);
  const watches = [
    watchDescriptors("listen", listen),
    watchDescriptors("connect", connect),
  ];
  const ends = await endings(sides);
  const faults = [
    ...judge(plan, sides, ends, await killed),
    ...(await Promise.all(watches)).filter((fault) => fault !== undefined),
  ];
  return {
    seed,
    plan: describe(plan),
    cuts: line.incidents,
    connections: line.connections,
    stops: await stops,
    killed: await killed !== undefined,
    bytes: listen.stdout.length + connect.stdout.length,
    faults,
  };
}

function start(
  role: SideName,
  address: string,
  plan: Plan,
  shelter: Shelter,
): Running {
  const { bytes, window, engine, dataSize } = plan[role];
  const args = [
    `--${role}=${address}`,
    "--reliable",
    "-v",
    `--window=${window}`,
    `--data-size=${dataSize}`,
    "--heartbeat=1s",
    ...role === "connect" ? ["--retry-delay=20ms", "--connect-timeout=2s"] : [],
    `--resume-timeout=${plan.kill === undefined ? 60_000 : RESUME_MS}ms`,
    ...shelter.options(plan.transport)[role],
  ];
  return sockpipe(args, {
    stdin: bytes,
    under: engine ? [] : ["env", "SOCKPIPE_ENGINE=off"],
  });
}

/** A kill: the side, and the time in ms, as of `performance.now`. */
interface Killed {
  readonly side: SideName;
  readonly at: number;
}

const OTHER = { listen: "connect", connect: "listen" } as const;

type Sides = Readonly<Record<SideName, Running>>;
/** The end of a side, and its time in ms, as of `performance.now`. */
interface Ending {
  readonly code: number | "hangs";
  readonly at: number;
}
type Endings = Readonly<Record<SideName, Ending>>;

async function endings(sides: Sides): Promise<Endings> {
  const ending = async (side: Running): Promise<Ending> => {
    const code = await side.code(SESSION_MS).catch(() => "hangs" as const);
    if (code === "hangs") signal(side, "SIGKILL");
    return { code, at: performance.now() };
  };
  const [listen, connect] = await Promise.all([
    ending(sides.listen),
    ending(sides.connect),
  ]);
  return { listen, connect };
}

/** @returns How many stops there were. */
async function stopNowAndThen(plan: Plan, sides: Sides): Promise<number> {
  let stops = 0;
  for (const [name, after, ms] of plan.stops) {
    await delay(after);
    if (!signal(sides[name], "SIGSTOP")) break;
    stops++;
    await delay(ms);
    signal(sides[name], "SIGCONT");
  }
  return stops;
}

/** @returns Who was killed, and when, in ms as of `performance.now`; if at all. */
async function killOne(
  { kill }: Plan,
  sides: Sides,
): Promise<Killed | undefined> {
  if (kill === undefined) return undefined;
  // Before that, the listener has no session, and waits for whoever comes.
  const begun = [sides.listen, sides.connect].map((side) => side.said(/begun/));
  if (!await Promise.all(begun).catch(() => false)) return undefined;
  await delay(kill.afterMs);
  if (!signal(sides[kill.side], "SIGKILL")) return undefined;
  return { side: kill.side, at: performance.now() };
}

/** @returns Whether the process was still there. */
function signal(side: Running, name: Deno.Signal): boolean {
  try {
    // Not a zombie that has not been waited for yet.
    const state = Deno.readTextFileSync(`/proc/${side.pid}/stat`);
    if (/\) Z /.test(state)) return false;
    side.kill(name);
    return true;
  } catch {
    return false;
  }
}

/** @returns What is wrong, when descriptors pile up. */
async function watchDescriptors(
  name: SideName,
  side: Running,
): Promise<string | undefined> {
  let first: number | undefined;
  let last = 0;
  for (;;) {
    try {
      last =
        (await Array.fromAsync(Deno.readDir(`/proc/${side.pid}/fd`))).length;
    } catch {
      break;
    }
    if (last === 0) break;
    if (/begun/.test(side.stderr.text())) first ??= last;
    await delay(100);
  }
  if (first === undefined || last <= first + SPARE_DESCRIPTORS) {
    return undefined;
  }
  return `${name}: descriptors leak: ${first} at first, ${last} at the end`;
}

function judge(
  plan: Plan,
  sides: Sides,
  ends: Endings,
  killed: Killed | undefined,
): string[] {
  const isWhole = (["listen", "connect"] as const).every((name) =>
    equal(sides[name].stdout.bytes(), plan[OTHER[name]].bytes)
  );
  const faults = [
    ...judgeSide("listen", plan, sides, ends, isWhole, killed),
    ...judgeSide("connect", plan, sides, ends, isWhole, killed),
  ];
  if (faults.length > 0) {
    for (const name of ["listen", "connect"] as const) {
      const { stdout, stderr } = sides[name];
      const end = stderr.text().slice(-1500);
      faults.push(
        `${name} had ${stdout.length} bytes, ended with ${
          ends[name].code
        }, said: ${end}`,
      );
    }
  }
  return faults;
}

function judgeSide(
  name: SideName,
  plan: Plan,
  sides: Sides,
  ends: Endings,
  isWhole: boolean,
  killed: Killed | undefined,
): string[] {
  const faults: string[] = [];
  const { code, at } = ends[name];
  const got = sides[name].stdout.bytes();
  if (!equal(got, plan[OTHER[name]].bytes.subarray(0, got.length))) {
    faults.push(`${name}: wrong bytes on stdout`);
  }
  if (code === "hangs") faults.push(`${name}: hangs`);
  if (code === 0 && !isWhole) faults.push(`${name}: a wrong 0`);
  if (killed === undefined && code !== 0 && code !== "hangs") {
    faults.push(`${name}: exit code ${code}, though both lived`);
  }
  if (killed !== undefined && at > killed.at + RESUME_MS + LATE_MS) {
    const late = Math.round(at - killed.at);
    faults.push(`${name}: ended ${late} ms after ${killed.side} was killed`);
  }
  return faults;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
