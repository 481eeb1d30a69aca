/**
 * `--output`: what is received goes to a file that appears under its name when all
 * of it is on the disk. Until then it is FILE.part (`part_file.ts`).
 *
 * It belongs to the runs, as the file of `--serve` does: it is what a connection is
 * joined with. Reading and writing stdin and stdout is another matter (`io/`).
 */

import { writeAll } from "../base/bytes.ts";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { checkName, fileInfo, syncName } from "../base/file_names.ts";
import { libc } from "../base/libc.ts";
import { TimeSlice } from "../base/poll.ts";
import { Descriptor } from "../io/descriptor.ts";
import type { Sink } from "../pipe/duplex.ts";
import { type LocalEnd, withSink } from "../pipe/pipe.ts";
import type { HashedPoint, HeldPrefix } from "../reliable/held_prefix.ts";
import type { ResumableFile } from "../reliable/local_streams.ts";
import type { Reporter } from "../report/reporter.ts";
import type { OutputSettings } from "../cli/options.ts";
import type { RunContext } from "./context.ts";
import { SpareHash } from "./spare_hash.ts";
import {
  openDescriptor,
  openPart,
  publish,
  setRoomAside,
} from "./part_file.ts";

/** The bytes that are hashed at a time. */
const HASH_BYTES = 1024 * 1024;
/** The pause between looks at what is not on the disk yet, in ms. */
const SYNC_MS = 200;
/** The bytes that are worth being put on the disk while more come. */
const SYNC_BYTES = 32 * 1024 * 1024;

/** The surroundings of the file. An abort of `signal` ends the reading of its beginning. */
export interface OutputContext extends Pick<RunContext, "report" | "signal"> {
  /** Whether its SHA-256 is to be made meanwhile; see {@linkcode SpareHash}. */
  readonly hashes: boolean;
}

/**
 * Opens FILE.part, before any peer is let in.
 *
 * @returns The file, empty or, with `resume`, with what an earlier run has left.
 * Disposing closes it; without {@linkcode OutputFile.end} before, it stays FILE.part.
 * @throws {LocalIoError} FILE exists, FILE.part cannot be written or trusted, or
 * there is no room for `size`.
 * @throws `context.signal.reason`.
 */
export async function openOutput(
  settings: OutputSettings,
  context: OutputContext,
): Promise<OutputFile> {
  const { path, overwrite, resume, size } = settings;
  const part = `${path}.part`;
  try {
    const there = await fileInfo(path);
    // A run that was killed right after the rename: FILE is complete.
    const isComplete = resume && !overwrite && there?.isFile === true &&
      await fileInfo(part) === undefined;
    if (!isComplete) checkName(there, { overwrite });
    const file = isComplete ? await Deno.open(path) : await openPart(part);
    const output = new OutputFile(file, { settings, isComplete, ...context });
    try {
      await output.prepare();
      if (size !== undefined) await output.setRoomAside(size);
      return output;
    } catch (error) {
      output[Symbol.dispose]();
      throw error;
    }
  } catch (error) {
    context.signal.throwIfAborted();
    throw failure(path, error);
  }
}

/** The file of `--output`. One writer at a time. */
export class OutputFile implements Sink, ResumableFile, Disposable {
  readonly #file: Deno.FsFile;
  readonly #settings: OutputSettings;
  readonly #report: Reporter;
  /** Its abort ends reading what is there. */
  readonly #signal: AbortSignal;
  /** Whether FILE is complete since an earlier run, and only compared. */
  readonly #isComplete: boolean;
  #held: HeldPrefix | undefined;
  /** The same file, for calls of the C library. */
  #descriptor: Descriptor | undefined;
  readonly #slice = new TimeSlice(libc());
  /** The room that was set aside, in bytes. */
  #roomBytes = 0;
  readonly #syncs = setInterval(() => this.#sync(), SYNC_MS);
  #isSyncing = false;
  #syncedBytes = 0;
  #ending: Promise<void> | undefined;
  #ended = false;
  #closed = false;
  readonly #spareHash: SpareHash | undefined;

  constructor(
    file: Deno.FsFile,
    options: OutputContext & {
      readonly settings: OutputSettings;
      readonly isComplete: boolean;
    },
  ) {
    this.#file = file;
    this.#spareHash = options.hashes ? new SpareHash() : undefined;
    this.#settings = options.settings;
    this.#isComplete = options.isComplete;
    this.#report = options.report;
    this.#signal = options.signal;
  }

  /** Empties the file or, with `--resume`, hashes it. Call it once, first. */
  async prepare(): Promise<void> {
    const c = libc();
    if (c !== undefined && !this.#isComplete) {
      const fd = await openDescriptor(c, this.path, this.#file);
      if (fd !== undefined) {
        this.#descriptor = Descriptor.ofGiven(c, fd, "write");
      }
    }
    if (!this.#settings.resume) return await this.#file.truncate(0);
    const { path, size: bytes } = this;
    // Gives back the room that a run which was killed had set aside.
    if (!this.#isComplete) await this.#file.truncate(bytes);
    if (bytes > 0) this.#report.say({ event: "checking", path, bytes });
    this.#held = await this.#hash(Infinity);
  }

  /** The present path of the file. */
  get path(): string {
    const { path } = this.#settings;
    return this.#isComplete || this.#ended ? path : `${path}.part`;
  }

  /** The size of the file, in bytes. */
  get size(): number {
    return this.#file.statSync().size;
  }

  /**
   * The file, for who writes to its end past this object; `undefined` where there is
   * none. It is closed with this object.
   */
  get descriptor(): Descriptor | undefined {
    return this.#descriptor;
  }

  /**
   * The bytes of an earlier run.
   *
   * @throws {Error} There is no --resume.
   */
  get prefix(): HeldPrefix {
    if (this.#held === undefined) throw new Error("There is no --resume");
    return this.#held;
  }

  /** Makes an end that sends what `local` sends, and receives into this file. */
  receiveFor(local: LocalEnd): LocalEnd {
    return withSink(local, this);
  }

  /**
   * Sets room on the disk aside, as far as the system can.
   *
   * @param bytes The size that the file will have.
   * @throws {LocalIoError} There is not enough.
   */
  async setRoomAside(bytes: number): Promise<void> {
    const c = libc();
    const fd = this.#descriptor?.fd;
    if (c === undefined || fd === undefined || bytes === 0) return;
    this.#roomBytes = bytes;
    try {
      await setRoomAside(c, fd, bytes);
    } catch (error) {
      const why = `${reasonOf(error)}: ${bytes} bytes are to come`;
      throw this.failure(new Error(why, { cause: error }));
    }
  }

  async cutTo(offset: number): Promise<HashedPoint> {
    try {
      if (this.#isComplete) {
        throw new Error(
          "it exists, and is not what the peer sends; give --overwrite to replace it",
        );
      }
      await this.#file.truncate(offset);
      this.#syncedBytes = 0;
      await this.setRoomAside(this.#roomBytes);
      return (await this.#hash(offset)).end;
    } catch (error) {
      throw this.failure(error);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#isComplete) {
        throw new Error("it exists, and the peer's stream is longer");
      }
      await writeAll({ write: (rest) => this.#writeSome(rest) }, bytes);
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** Hashes bytes that were written to the {@linkcode descriptor}, in their order. */
  took(bytes: Uint8Array): void {
    this.#spareHash?.update(bytes);
  }

  /** Gives the file its name, once all of it is on the disk. Idempotent. */
  end(): Promise<void> {
    return this.#ending ??= this.#end();
  }

  async #end(): Promise<void> {
    try {
      this.#giveRoomBack();
      const { path } = this;
      if (!this.#isComplete) await publish(this.#file, path, this.#settings);
      this.#ended = true;
      if (!this.#isComplete) await syncName(this.path);
    } catch (error) {
      throw this.failure(error);
    }
  }

  /**
   * Reports that the run has succeeded.
   *
   * @param known The SHA-256 of the file in hex, when somebody else has made it.
   */
  reportSaved(known?: string): void {
    const sha256 = known ?? this.#spareHash?.digest();
    const { received, connectedMs } = this.#report.totals;
    this.#report.say({
      event: "saved",
      path: this.path,
      bytes: this.size,
      elapsedMs: connectedMs,
      ...received === 0 || connectedMs < 1
        ? {}
        : { rate: received * 1000 / connectedMs },
      ...sha256 === undefined ? {} : { sha256 },
    });
  }

  /** Closes the file. An incomplete one stays, unless it is empty. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#syncs);
    const bytes = this.size;
    const isWhole = this.#ended || this.#isComplete;
    if (!isWhole) this.#giveRoomBack();
    this.#file.close();
    if (this.#descriptor !== undefined) libc()?.close(this.#descriptor.fd);
    if (isWhole) return;
    const { path } = this;
    if (bytes === 0) return removeQuietly(path);
    const { resume: resumable, again: command } = this.#settings;
    this.#report.say({
      event: "kept",
      path,
      bytes,
      resumable,
      ...command === undefined ? {} : { command },
    });
  }

  /** Makes the error for a file that cannot be written. */
  failure(error: unknown): LocalIoError {
    return failure(this.path, error);
  }

  /**
   * Writes to the disk meanwhile, so that the end waits for little, and a power
   * failure costs little.
   */
  async #sync(): Promise<void> {
    const bytes = this.size;
    if (this.#isSyncing || bytes < this.#syncedBytes + SYNC_BYTES) return;
    this.#isSyncing = true;
    // Should the disk fail, the last sync says so.
    await this.#file.syncData().catch(() => {});
    this.#isSyncing = false;
    this.#syncedBytes = bytes;
  }

  /** Gives back the room that a longer file was to have, and others may need now. */
  #giveRoomBack(): void {
    if (this.#roomBytes > 0) this.#file.truncateSync(this.size);
  }

  /** @returns How many bytes were written, at least 1. */
  async #writeSome(bytes: Uint8Array): Promise<number> {
    await this.#slice.pauseIfOver();
    const count = this.#descriptor?.write(bytes) ??
      await this.#file.write(bytes);
    this.took(bytes.subarray(0, count));
    return count;
  }

  /** Reads the file from its beginning; what is written next goes after that. */
  async #hash(most: number): Promise<HeldPrefix> {
    // Loaded only here: hashes take a while.
    const { BlockHasher } = await import("../reliable/held_prefix.ts");
    const hasher = new BlockHasher();
    await this.#file.seek(0, Deno.SeekMode.Start);
    const read = async (room: Uint8Array): Promise<Uint8Array> =>
      room.subarray(0, await this.#file.read(room) ?? 0);
    let [spare, room] = [newRoom(), newRoom()];
    let next = read(room.subarray(0, most));
    for (let left = most; left > 0;) {
      const bytes = await next;
      this.#signal.throwIfAborted();
      if (bytes.length === 0) break;
      left -= bytes.length;
      [spare, room] = [room, spare];
      // One is hashed while the next is read.
      next = read(room.subarray(0, left));
      hasher.update(bytes);
    }
    await next;
    return hasher.finish();
  }
}

function newRoom(): Uint8Array {
  return new Uint8Array(HASH_BYTES);
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is empty, and in nobody's way.
  }
}

function failure(path: string, error: unknown): LocalIoError {
  if (error instanceof LocalIoError) return error;
  return new LocalIoError(`Cannot write "${path}": ${reasonOf(error)}`, {
    cause: error,
  });
}
