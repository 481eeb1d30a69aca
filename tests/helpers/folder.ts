/** Files of tests. */

import { assert } from "@std/assert";
import { until } from "./deadlines.ts";

/** A folder for the files of one test. */
export class Folder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "sockpipe-test-" });

  /** What is in the folder. */
  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name);
  }

  /** Removes the folder with all that is in it. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Makes a named pipe in a folder; returns its path. */
export async function namedPipe({ path }: Folder): Promise<string> {
  const pipe = `${path}/pipe`;
  const { success } = await new Deno.Command("mkfifo", { args: [pipe] })
    .output();
  assert(success, "mkfifo");
  return pipe;
}

/** Waits until a file has grown to so many bytes. */
export async function writtenTo(path: string, bytes: number): Promise<void> {
  await until(async () => {
    const { size } = await Deno.stat(path).catch(() => ({ size: -1 }));
    return size >= bytes || undefined;
  }, `${bytes} bytes in ${path}`);
}

/** Whether there is a file of that name. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
