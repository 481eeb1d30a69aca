/** A person at a terminal. */

/** Whether what is sent is typed by a person. */
export function readsTerminal(
  { message, receiveOnly }: {
    /** The text to send instead of stdin. */
    readonly message: string | undefined;
    /** Whether stdin is never touched. */
    readonly receiveOnly: boolean;
  },
): boolean {
  return message === undefined && !receiveOnly && Deno.stdin.isTerminal();
}
