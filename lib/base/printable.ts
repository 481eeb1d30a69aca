/** Text from outside, made fit to be read by people and by terminals. */

/**
 * Characters that steer a terminal or mislead a reader instead of being seen:
 * control characters (C0, DEL, C1), ends of lines, marks of writing direction, most
 * characters without width, and halves of characters.
 */
const INVISIBLE =
  // deno-lint-ignore no-control-regex -- they are what it is about.
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/gu;

/**
 * Writes invisible characters as escapes such as `\u001b`, so that what a peer has
 * chosen (a path, a name, a message) cannot hide, forge a line, or steer the
 * terminal it is shown on. In the text of a JSON document they mean the same as
 * before.
 */
export function printable(text: string): string {
  return text.replace(
    INVISIBLE,
    (character) =>
      `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
