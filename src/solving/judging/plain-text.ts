/** @file Text without characters that no reader can see and without two writings of one character. */

/**
 * Characters that an answer never keeps: those that Unicode lets a renderer ignore (zero-width, directions,
 * soft hyphen, variation selectors) and control characters except tab and line breaks.
 */
const INVISIBLE = /(?![\t\n\r])[\p{Default_Ignorable_Code_Point}\p{Cc}]/gu

/** Full-width and half-width forms, whose compatibility form is the usual character. */
const WIDTH_FORMS = /[\u3000\uFF01-\uFFEE]/g

/**
 * Returns the text in Unicode's form NFC, full-width and half-width forms replaced, invisible and control
 * characters removed, half surrogate pairs replaced by U+FFFD. The result is text that the API accepts.
 */
export function plainText(text: string): string {
  return text
    .toWellFormed()
    .replace(INVISIBLE, '')
    .replace(WIDTH_FORMS, (form) => form.normalize('NFKC'))
    .normalize('NFC')
}

/** Returns the text without the given characters at its end. */
export function trimEndOf(text: string, characters: string): string {
  let end = text.length
  while (end > 0 && characters.includes(text.charAt(end - 1))) end -= 1
  return text.slice(0, end)
}
