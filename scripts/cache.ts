/** The files that scripts download and keep, outside the repository. */

/**
 * The folder for it: `$XDG_CACHE_HOME/sockpipe` or `~/.cache/sockpipe`. It may not
 * be there yet.
 *
 * @throws {Error} Neither is known.
 */
export function cacheFolder(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME");
  if (cache?.startsWith("/")) return `${cache}/sockpipe`;
  const home = Deno.env.get("HOME");
  if (home) return `${home}/.cache/sockpipe`;
  throw new Error("Cannot keep what is downloaded: HOME is not set");
}

/**
 * Gives something of the cache, made when it is not there. Any number of processes
 * may ask at once: each makes it in a folder of its own, and renames it.
 *
 * @param name A file or folder in the cache.
 * @param make Makes it in an empty folder, and returns its path there.
 * @returns Its path.
 */
export async function cached(
  name: string,
  make: (folder: string) => Promise<string>,
): Promise<string> {
  const cache = cacheFolder();
  const path = `${cache}/${name}`;
  if (await exists(path)) return path;
  await Deno.mkdir(cache, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: cache, prefix: "making-" });
  try {
    await Deno.rename(await make(folder), path);
  } catch (error) {
    if (!await exists(path)) throw error; // else another was faster
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return path;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
