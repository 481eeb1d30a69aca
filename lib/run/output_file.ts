/**
 * `--output`: what is received goes to a file that appears under its name when all
 * of it is on the disk. Until then it is FILE.part.
 *
 * It belongs to the runs, as the file of `--serve` does: it is what a connection is
 * joined with. Reading and writing stdin and stdout is another matter (`io/`).
 */

import { abortable } from "@std/async/abortable";
import { Deadline } from "../base/deadline.ts";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { libc } from "../base/libc.ts";
import { type Sink, withStreams } from "../pipe/duplex.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import type { HashedPoint, HeldPrefix } from "../reliable/held_prefix.ts";
import type { ResumableFile } from "../reliable/reliable.ts";
import type { Reporter } from "../report/reporter.ts";
import type { OutputSettings } from "../cli/options.ts";
import { BatchWriter } from "./batch_writer.ts";

/** The longest wait for a lock, where it cannot just be tried, in ms. */
const LOCK_MS = 500;
/** The bytes that are hashed at a time. */
const HASH_BYTES = 1024 * 1024;

/**
 * Opens FILE.part, before any peer is let in.
 *
 * @returns The file, empty or, with `resume`, with what an earlier run has left.
 * Disposing closes it; without {@linkcode OutputFile.end} before, it stays FILE.part.
 * @throws {LocalIoError} FILE exists, or FILE.part cannot be written or trusted.
 */
export async function openOutput(
  settings: OutputSettings,
  report: Reporter,
): Promise<OutputFile> {
  const { path, overwrite, resume } = settings;
  const part = `${path}.part`;
  try {
    const there = await infoOf(path);
    if (there?.isDirectory) throw new Error("it is a directory");
    // A run that was killed right after the last step left nothing to do.
    const isDone = resume && !overwrite && there?.isFile === true &&
      await infoOf(part) === undefined;
    if (there !== undefined && !overwrite && !isDone) {
      throw new Error("it exists; give --overwrite to replace it");
    }
    const file = isDone ? await Deno.open(path) : await openPart(part);
    const output = new OutputFile(file, { settings, isDone, report });
    try {
      await output.prepare();
      return output;
    } catch (error) {
      output[Symbol.dispose]();
      throw error;
    }
  } catch (error) {
    throw failure(path, error);
  }
}

/** The file of `--output`. One writer at a time. */
export class OutputFile implements Sink, ResumableFile, Disposable {
  readonly failed: Promise<never>;
  readonly #file: Deno.FsFile;
  readonly #settings: OutputSettings;
  readonly #report: Reporter;
  /** Whether FILE is complete since an earlier run, and only compared. */
  readonly #isDone: boolean;
  readonly #writer: BatchWriter;
  readonly #openedAt = performance.now();
  #held: HeldPrefix | undefined;
  /** The bytes that were written to the file. */
  #size = 0;
  #ended = false;
  #closed = false;

  constructor(file: Deno.FsFile, options: {
    settings: OutputSettings;
    isDone: boolean;
    report: Reporter;
  }) {
    this.#file = file;
    this.#settings = options.settings;
    this.#isDone = options.isDone;
    this.#report = options.report;
    this.#writer = new BatchWriter(async (bytes) => {
      const count = await file.write(bytes);
      this.#size += count;
      return count;
    });
    this.failed = this.#writer.failed.catch((error) => {
      throw this.#failure(error);
    });
    this.failed.catch(() => {});
  }

  /** Empties the file or, with `--resume`, hashes it. Call it once, first. */
  async prepare(): Promise<void> {
    if (!this.#settings.resume) return await this.#file.truncate(0);
    const { size } = await this.#file.stat();
    if (size > 0) {
      const { path } = this;
      this.#report.say({ event: "checking", path, bytes: size });
    }
    this.#held = await this.#hash(Infinity);
    this.#size = this.#held.end.offset;
  }

  /** The present path of the file. */
  get path(): string {
    const { path } = this.#settings;
    return this.#isDone || this.#ended ? path : `${path}.part`;
  }

  /** How much is in the file. */
  get size(): number {
    return this.#size;
  }

  /** The bytes of an earlier run.

@throws {Error} There is no --resume. */
  get prefix(): HeldPrefix {
    if (this.#held === undefined) throw new Error("There is no --resume");
    return this.#held;
  }

  /** Makes an end that sends what `local` sends, and receives into this file. */
  receiveFor(local: LocalEnd): LocalEnd {
    const { sends, endsWithPeer } = local;
    return { ...withStreams(local, { sink: this }), sends, endsWithPeer };
  }

  async cutTo(offset: number): Promise<HashedPoint> {
    try {
      if (this.#isDone) {
        throw new Error(
          "it exists, and is not what the peer sends; give --overwrite to replace it",
        );
      }
      await this.#file.truncate(offset);
      this.#size = offset;
      return (await this.#hash(offset)).end;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  get pending(): number {
    return this.#writer.pending;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#isDone) {
        throw new Error("it exists, and the peer's stream is longer");
      }
      await this.#writer.write(bytes);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async flush(): Promise<void> {
    try {
      await this.#writer.flush();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Gives the file its name, once all of it is on the disk. */
  async end(): Promise<void> {
    if (this.#ended) return;
    try {
      await this.#writer.flush();
      if (!this.#isDone) await this.#publish();
    } catch (error) {
      throw this.#failure(error);
    }
    this.#ended = true;
  }

  /** Says that the run has succeeded. @param sha256 Of the file, in hex. */
  sayEnd(sha256?: string): void {
    this.#report.say({
      event: "saved",
      path: this.path,
      bytes: this.#size,
      elapsedMs: performance.now() - this.#openedAt,
      ...(sha256 === undefined ? {} : { sha256 }),
    });
  }

  /** Closes the file. What is not complete stays, unless there is nothing in it. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
    if (this.#ended || this.#isDone) return;
    const { path } = this;
    const bytes = this.#size;
    if (bytes === 0) return removeQuietly(path);
    const resumable = this.#settings.resume;
    this.#report.say({ event: "kept", path, bytes, resumable });
  }

  async #publish(): Promise<void> {
    const { path, overwrite } = this.#settings;
    const mode = ordinaryMode();
    if (mode !== undefined) await Deno.chmod(this.path, mode);
    await this.#file.sync();
    if (overwrite) await Deno.rename(this.path, path);
    else await renameUnlessThere(this.path, path);
    await syncFolderOf(path);
  }

  /** Reads the file from its beginning; what is written next goes after that. */
  async #hash(most: number): Promise<HeldPrefix> {
    // Loaded only here: hashes take a while.
    const { BlockHasher } = await import("../reliable/held_prefix.ts");
    const hasher = new BlockHasher();
    await this.#file.seek(0, Deno.SeekMode.Start);
    const room = new Uint8Array(HASH_BYTES);
    for (let left = most; left > 0;) {
      const count = await this.#file.read(room.subarray(0, left));
      if (count === null) break;
      hasher.update(room.subarray(0, count));
      left -= count;
    }
    return hasher.finish();
  }

  #failure(error: unknown): LocalIoError {
    return failure(this.path, error);
  }
}

/**
 * Opens FILE.part, made by us or by an earlier run of ours: never through a link,
 * and never a file that others may have put there.
 */
async function openPart(path: string): Promise<Deno.FsFile> {
  const options = { read: true, write: true };
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { ...options, createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const before = await Deno.lstat(path);
    if (!before.isFile) throw partError(path, "is not a regular file");
    file = await Deno.open(path, options);
    const { uid, dev, ino, nlink } = await file.stat();
    const why = dev !== before.dev || ino !== before.ino
      ? "was replaced meanwhile"
      : uid !== (libc()?.geteuid() ?? uid)
      ? "belongs to somebody else"
      : (nlink ?? 1) > 1
      ? "has another name, too"
      : undefined;
    if (why !== undefined) {
      file.close();
      throw partError(path, why);
    }
  }
  if (!await isLocked(file)) {
    file.close();
    throw partError(path, "is being written by another run");
  }
  return file;
}

/** Whether we have the file for us alone from now on, until it is closed. */
async function isLocked(file: Deno.FsFile): Promise<boolean> {
  const exclusive = true;
  // Deno 2.4 has no tryLock. A lock that is free is had at once.
  if ("tryLock" in file) return await file.tryLock(exclusive);
  const { lock } = file as Pick<Deno.FsFile, "lock">;
  using deadline = new Deadline(undefined, LOCK_MS);
  return await abortable(lock.call(file, exclusive), deadline.signal)
    .then(() => true, () => false);
}

/** The permissions of a new file; `undefined` where it has none of this kind. */
function ordinaryMode(): number | undefined {
  const c = libc();
  if (c === undefined) return undefined;
  const mask = c.umask(0o077);
  c.umask(mask);
  return 0o666 & ~mask;
}

function partError(path: string, why: string): Error {
  return new Error(`${path} ${why}`);
}

async function infoOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Renames, unless there is a file of that name by now. */
async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await Deno.link(from, to);
  } catch (error) {
    if (await infoOf(to) !== undefined) {
      throw new Error("a file of that name has appeared meanwhile", {
        cause: error,
      });
    }
    // Not every file system has hard links.
    return await Deno.rename(from, to);
  }
  await Deno.remove(from);
}

/** Puts the new name on the disk, where folders can be opened. */
async function syncFolderOf(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || ".";
  using file = await Deno.open(folder);
  await file.sync();
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
