/**
 * Reaps all children of this process, so that no zombie stays, also those that
 * others left to it: as PID 1 of a container, or as their subreaper (prctl(2)). And
 * follows the process groups that were started.
 */

/** The end of a process: an exit code, or a signal. */
export interface ExitStatus {
  /** 128 + the signal's number where a signal ended it. */
  readonly code: number;
  readonly signal: number | undefined;
}

/** The system calls that the reaper needs. */
export interface ProcessTable {
  /** Takes any child that has ended; `undefined` when there is none now. */
  reap(): { readonly pid: number; readonly status: ExitStatus } | undefined;
  /** Sends a signal to a process group; 0 only asks whether it is there. */
  signalGroup(leader: number, signal: number): boolean;
}

/** A process group: its leader and what it has started. */
export interface Group {
  /** Resolves when the leader has ended. */
  readonly status: Promise<ExitStatus>;
  /**
   * Resolves when nothing of the group is left; where another process reaps its
   * members, not before a child of ours ends.
   */
  readonly ended: Promise<void>;
  /** Sends a signal to all of the group, unless it has ended. */
  signal(number: number): void;
}

/** Follows the groups of the processes that are started through it. */
export class Reaper {
  readonly #table: ProcessTable;
  readonly #groups = new Map<number, FollowedGroup>();
  /** The number of processes that are being started, whose ids are not known yet. */
  #starting = 0;
  /** Ended children whose group is not known yet, as their start has not returned. */
  readonly #unknown = new Map<number, ExitStatus>();

  constructor(table: ProcessTable) {
    this.#table = table;
  }

  /**
   * Starts a process that leads a group of its own.
   *
   * @param spawn Resolves to its process id.
   * @throws What `spawn` throws.
   */
  async start(spawn: () => Promise<number>): Promise<Group> {
    this.#starting++;
    try {
      const pid = await spawn();
      const group = new FollowedGroup(pid, this.#table);
      this.#groups.set(pid, group);
      const status = this.#unknown.get(pid);
      if (status !== undefined) {
        group.leaderEnded(status);
        this.#forgetEnded();
      }
      return group;
    } finally {
      if (--this.#starting === 0) this.#unknown.clear();
    }
  }

  /** Takes all children that have ended; call it on each SIGCHLD. */
  reapAll(): void {
    // One signal may stand for several children.
    for (
      let child = this.#table.reap();
      child !== undefined;
      child = this.#table.reap()
    ) {
      const { pid, status } = child;
      const group = this.#groups.get(pid);
      if (group !== undefined) group.leaderEnded(status);
      else if (this.#starting > 0) this.#unknown.set(pid, status);
    }
    this.#forgetEnded();
  }

  #forgetEnded(): void {
    for (const [pid, group] of this.#groups) {
      if (group.checkEnded()) this.#groups.delete(pid);
    }
  }
}

class FollowedGroup implements Group {
  readonly #leader: number;
  readonly #table: ProcessTable;
  readonly #status = Promise.withResolvers<ExitStatus>();
  readonly #ended = Promise.withResolvers<void>();
  readonly status: Promise<ExitStatus> = this.#status.promise;
  readonly ended: Promise<void> = this.#ended.promise;
  #hasLeader = true;
  #hasEnded = false;

  constructor(leader: number, table: ProcessTable) {
    this.#leader = leader;
    this.#table = table;
  }

  leaderEnded(status: ExitStatus): void {
    this.#hasLeader = false;
    this.#status.resolve(status);
  }

  /** @returns Whether nothing of it is left. */
  checkEnded(): boolean {
    if (this.#hasLeader) return false;
    this.#hasEnded ||= !this.#table.signalGroup(this.#leader, 0);
    if (this.#hasEnded) this.#ended.resolve();
    return this.#hasEnded;
  }

  signal(number: number): void {
    // Once it has ended, its number may be that of another group.
    if (!this.#hasEnded) this.#table.signalGroup(this.#leader, number);
  }
}
