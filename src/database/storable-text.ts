/** Postgres holds every character but NUL, which a model may well emit, and no half of a surrogate pair: both become U+FFFD. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}
