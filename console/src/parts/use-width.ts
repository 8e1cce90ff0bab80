/** @file The width of an element, for drawings in pixels. */

import type { RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** Returns a reference to attach, and the width in pixels; renders again when it changes. */
export function useWidth<E extends Element>(): readonly [RefObject<E | null>, number] {
  const element = useRef<E>(null)
  const [width, setWidth] = useState(320)
  useEffect(() => {
    const { current } = element
    if (current === null) return
    const watch = new ResizeObserver(([entry]) => setWidth(entry?.contentRect.width ?? 320))
    watch.observe(current)
    return () => watch.disconnect()
  }, [])
  return [element, width]
}
