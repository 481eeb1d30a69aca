/**
 * Two sessions and a network between them, without a network and without a clock:
 * all that happens is chosen by a seeded generator, and time passes only when
 * nothing else can happen.
 */

import { encodePreface, ROLE } from "../../../lib/reliable/preface.ts";
import { drawBytes, seeded } from "../seeded.ts";
import {
  Connection,
  IntruderSocket,
  type Network,
  Pipe,
  Socket,
} from "./connection.ts";
import type { Incident, Outcome, Plan, SideName, SideOutcome } from "./plan.ts";
import { Side, type Surroundings } from "./side.ts";

const MAX_STEPS = 400_000;

/**
 * Plays a plan to its end.
 *
 * @throws {Error} It does not end.
 */
export function play(plan: Plan): Outcome {
  return new World(plan).run();
}

class World implements Network, Surroundings {
  readonly random: () => number;
  now = 0;
  readonly #plan: Plan;
  readonly #sides: Record<SideName, Side>;
  readonly #passed: Record<SideName, number> = { connect: 0, listen: 0 };
  readonly #incidents: Incident[];
  /** How large portions are at most, in this run. */
  readonly #grain: number;
  #connections = 0;
  #current: Connection | undefined;
  #noConnectionBefore = 0;
  #intruders: number;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.random = seeded(plan.seed);
    this.#grain = 2 ** Math.floor(this.random() * 16);
    this.#incidents = [...plan.incidents ?? []];
    this.#intruders = plan.intruders ?? 0;
    const { connect, listen } = plan;
    this.#sides = {
      connect: new Side(this, "connect", plan, listen.stdin.length),
      listen: new Side(this, "listen", plan, connect.stdin.length),
    };
  }

  run(): Outcome {
    const sides = Object.values(this.#sides);
    for (let step = 0; sides.some((side) => side.alive); step++) {
      if (step > MAX_STEPS) throw new Error("It does not end");
      const first = this.random() < 0.5 ? 0 : 1;
      if (this.#intruders > 0 && this.random() < 0.05) this.#sendIntruder();
      const inOrder = first === 0 ? sides : sides.toReversed();
      const acted = inOrder.some((side) => side.act("unhurried")) ||
        inOrder.some((side) => side.act("eager"));
      if (acted) continue;
      const next = Math.min(...sides.map((side) => side.wakeAt));
      if (next === Infinity) throw new Error("Both wait for ever");
      this.now = Math.max(next, this.now + 1);
    }
    const { connect, listen } = this.#sides;
    return {
      connect: outcomeOf(connect),
      listen: outcomeOf(listen),
      passed: this.#passed,
      connections: this.#connections,
      elapsedMs: this.now,
    };
  }

  portion(most: number): number {
    return 1 + Math.floor(this.random() * Math.min(most, this.#grain));
  }

  untilIncident(to: SideName): number {
    const at = this.#incidents
      .filter((incident) => incident.to === to)
      .map((incident) => incident.at - this.#passed[to])
      .filter((n) => n > 0);
    return Math.min(...at);
  }

  passed(to: SideName, bytes: number): void {
    this.#passed[to] += bytes;
    this.#happen();
  }

  connect(): Socket | "refused" | "unreachable" {
    if (this.now < this.#noConnectionBefore) return "unreachable";
    if (!this.#sides.listen.alive) return "refused";
    const connection = new Connection();
    this.#current = connection;
    this.#connections++;
    const { toConnect, toListen } = connection;
    this.#sides.listen.arrive(new Socket(this, toListen, toConnect));
    const end = new Socket(this, toConnect, toListen);
    // An incident at 0 breaks the first connection before any byte.
    this.#happen();
    return end;
  }

  #happen(): void {
    for (const incident of [...this.#incidents]) {
      if (this.#passed[incident.to] < incident.at) continue;
      this.#incidents.splice(this.#incidents.indexOf(incident), 1);
      if (incident.kill) this.#sides[incident.kill].die();
      this.#current?.break(incident);
      this.#noConnectionBefore = this.now + (incident.outageMs ?? 0);
    }
  }

  /** Has somebody else come, who is to be refused or ignored. */
  #sendIntruder(): void {
    if (!this.#sides.listen.alive || !this.#sides.listen.session.begun) return;
    this.#intruders--;
    const toListen = new Pipe("listen");
    const toIntruder = new Pipe("connect");
    this.#sides.listen.arrive(new IntruderSocket(this, toListen, toIntruder));
    const kind = Math.floor(this.random() * 4);
    if (kind === 0) toListen.write(drawBytes(80, this.random));
    if (kind >= 2) {
      const { digest, token, resumesFiles } = this.#plan;
      const preface = {
        version: 1,
        role: ROLE.connect,
        flags: (kind & 1) | (digest ? 2 : 0) | (token ? 4 : 0) |
          (resumesFiles ? 24 : 0),
        id: drawBytes(16, this.random),
        received: 0,
        checksum: 0,
        window: 1000,
        patienceMs: 1000,
        additions: new Uint8Array(),
      };
      toListen.write(encodePreface(preface));
      const additions = drawBytes(64, this.random);
      toListen.write(encodePreface({ ...preface, additions }));
    }
    if (this.random() < 0.5) toListen.ended = true;
  }
}

function outcomeOf({ exit, error, stdout, written }: Side): SideOutcome {
  return { exit, error, stdout: stdout.subarray(0, written) };
}
