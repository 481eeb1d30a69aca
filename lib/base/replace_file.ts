/** Files that are there only when they are whole. */

/**
 * Writes a file that appears under its name only when it is complete; what had the
 * name before is replaced.
 *
 * @throws The system's error. Nothing is left behind then.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const part = `${path}.${crypto.randomUUID()}.part`;
  try {
    await Deno.writeTextFile(part, text, { createNew: true });
    await Deno.rename(part, path);
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    throw error;
  }
}
