/** Names of files: what they stand for, and that they are on the disk. */

/**
 * Puts the name of a file on the disk, by a sync of its folder. Does nothing where
 * that must not be opened, and on Windows.
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

/**
 * Reads what a path is, itself and not what it links to.
 *
 * @returns `undefined` when there is nothing.
 * @throws The system's error.
 */
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

/**
 * Checks that a new file may have a name.
 *
 * @param there The thing that has the name, if anything has.
 * @param options.overwrite Whether a file of that name may be replaced.
 * @throws {Error} It may not, or the name is that of anything but a regular file.
 */
export function checkName(
  there: Deno.FileInfo | undefined,
  { overwrite }: { readonly overwrite: boolean },
): void {
  if (there === undefined) return;
  if (there.isDirectory) throw new Error("it is a directory");
  if (!overwrite) throw new Error("it exists; give --overwrite to replace it");
  // /dev/null would be gone for everybody, and what a link stands for not be written.
  if (there.isFile) return;
  const what = there.isSymlink ? "a link, and" : "not a regular file, and";
  throw new Error(`it is ${what} would be replaced itself`);
}
