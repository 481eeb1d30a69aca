/** Names of files: what they stand for, and that they are on the disk. */

/**
 * Writes the name of a file to the disk, where its folder can be opened; elsewhere does
 * nothing.
 *
 * @throws The system's error.
 */
export async function syncName(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || ".";
  let file: Deno.FsFile;
  try {
    file = await Deno.open(folder);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return;
    throw error;
  }
  using _closed = file;
  await file.sync();
}

/** Tells what a path is, itself and not what it points to; `undefined` for nothing. */
export async function fileInfo(
  path: string,
): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
