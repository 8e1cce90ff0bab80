/** @file Preformatted text that scrolls when it is long. */

import type { ComponentChildren } from 'preact'

interface ScrollTextProps {
  /** Name for screen readers. */
  readonly label: string
  readonly class: string
  readonly children: ComponentChildren
}

export function ScrollText({ label, class: name, children }: ScrollTextProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard.
    <section class={`mono ${name}`} aria-label={label} tabIndex={0}>
      {children}
    </section>
  )
}
