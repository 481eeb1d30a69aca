/** Files that are there only when they are whole. */

import { writeAll } from "./bytes.ts";
import { syncName } from "./file_names.ts";

/**
 * Writes a file that appears under its name only when it is complete; what had the
 * name before is replaced.
 *
 * @param options.onDisk Whether the file and its name are on the disk before this
 * resolves.
 * @throws The system's error. Nothing is left behind then.
 */
export async function replaceFile(
  path: string,
  text: string,
  { onDisk = false }: { readonly onDisk?: boolean } = {},
): Promise<void> {
  const part = partOf(path);
  try {
    await writeNew(part, text, onDisk);
    await Deno.rename(part, path);
    if (onDisk) await syncName(path);
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    throw error;
  }
}

/**
 * Finds out whether {@linkcode replaceFile} can write a file, and leaves nothing.
 *
 * @throws The system's error.
 */
export async function tryReplaceFile(path: string): Promise<void> {
  const part = partOf(path);
  await Deno.writeFile(part, new Uint8Array(), { createNew: true });
  await Deno.remove(part);
}

/** Writes a file that is not there yet, and closes it. */
async function writeNew(
  path: string,
  text: string,
  onDisk: boolean,
): Promise<void> {
  using file = await Deno.open(path, { createNew: true, write: true });
  await writeAll(file, new TextEncoder().encode(text));
  if (onDisk) await file.sync();
}

function partOf(path: string): string {
  return `${path}.${crypto.randomUUID()}.part`;
}
